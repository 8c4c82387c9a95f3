//! Health and the other endpoints for operators.
