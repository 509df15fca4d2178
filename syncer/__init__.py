"""syncer: bulk export, fetch and delete of push-notification users, with a proof that nothing was missed."""
