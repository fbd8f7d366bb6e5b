//! An Engine.IO and Socket.IO server on actix, for any application: sessions, both transports, no sticky sessions.
