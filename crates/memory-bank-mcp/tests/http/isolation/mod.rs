//! One server, three projects: no request of a member of one project shows data of another. A word that is stored in every
//! kind of place of one project must never appear in a reply to anybody else.

mod cross_project;
mod foreign_and_missing;
mod key_validity;
mod members;
mod projects;
mod tool_calls;
