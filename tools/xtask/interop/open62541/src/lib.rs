//! Nothing of its own: this package brings the C library open62541, in the version of its lock file.
