//! S3 and its stand-ins.
