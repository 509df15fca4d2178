"""Talking to the service: protocol and pacing are pure, throttle is the door, transport is the wire."""
