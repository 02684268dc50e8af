//! The host tool: builds, starts, watches and measures images.
