//! Those who are told what happens, by signed webhooks.
