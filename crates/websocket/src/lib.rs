//! WebSocket plumbing that both client protocols share: finished frames, the limit of a frame, and the outbox.
