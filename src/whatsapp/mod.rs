//! The pure side of WhatsApp: webhook model, signature, conversation of a message.
