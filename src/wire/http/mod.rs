//! HTTP/1.1, server side: head, body, response (RFC 9110, RFC 9112).
