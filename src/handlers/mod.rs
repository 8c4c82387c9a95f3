//! Rules of operators: when this happens, do that.
