//! `import --from auto`: the files of other agents and programs, imported by the binary into a folder and into a database.

mod bank;
mod edits;
mod graphs;
mod hostile_sources;
mod kills;
mod layouts;
