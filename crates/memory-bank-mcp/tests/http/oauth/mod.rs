//! OAuth: the server as a resource and as an authorization server, driven as clients and browsers do.

mod authorization;
pub(crate) mod browser;
mod client_keys;
mod doctor;
pub(crate) mod fake_issuer;
mod fake_provider;
mod limits;
mod openid;
mod openid_site;
mod outside;
mod outside_attacks;
mod races;
mod refresh;
mod registration;
mod resource_server;
mod revocation;
mod rights;
mod sign_in;
mod sign_in_attacks;
mod timing;
