"""From the first page to a proven whole: plan, walk and proof are pure, spool keeps pages, crawler acts."""
