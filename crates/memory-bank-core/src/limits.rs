//! Every bound of the domain in one place: how large, how many and how long documents, the graph, backups, keys,
//! arguments and replies may be. An error names the bound that was exceeded.
//!
//! Elsewhere, beside the code that they belong to:
//!
//! - the work and the caches of an algorithm (`document`, `search`, `graph`, `transfer`);
//! - bounds of vectors and models: [`crate::search`];
//! - waits, pools, queues and slices of a store: the store's crate;
//! - the sizes of the server's own files in a folder: the module that reads the file;
//! - the ranges of numbers that arguments take: the table of tools; time-outs, connections and the memory of replies: the
//!   configuration of HTTP, both in the server's crate.

/// The largest document that may be written, in bytes of UTF-8.
pub const DOCUMENT_BYTES: usize = 1024 * 1024;
/// The largest file that is still read when a folder already holds it (written by another program), in bytes.
pub const READABLE_BYTES: u64 = 16 * 1024 * 1024;
/// The largest log of a folder's graph that is read or written, in bytes.
pub const GRAPH_LOG_BYTES: u64 = 1024 * 1024 * 1024;
/// The longest document name, with its folders, in bytes.
pub const NAME_BYTES: usize = 255;
/// How many folders deep a document may be in the bank.
pub const FOLDER_LEVELS: usize = 8;
/// The most names that are read to find the documents of a bank and its folders. Further names are ignored.
pub const WALKED_NAMES: usize = 50_000;
/// The longest entity name, entity type or relation type, in bytes.
pub const LABEL_BYTES: usize = 512;
/// The longest text of an observation, in bytes.
pub const OBSERVATION_BYTES: usize = 64 * 1024;
/// The most facts that one fact names as replaced, and the most that are added of those that these replaced.
pub const SUPERSEDED_FACTS: usize = 20;
/// The most facts of an entity with which a new one is compared, the newest first.
pub const COMPARED_FACTS: usize = 64;
/// The most facts with which the new facts of a batch are compared; each entity gets a share.
pub const BATCH_COMPARED_FACTS: usize = 512;
/// The longest text that is compared with others, in bytes.
pub const COMPARED_BYTES: usize = 600;
/// The largest `attrs` object, in bytes of compact JSON.
pub const ATTRIBUTES_BYTES: usize = 64 * 1024;
/// How deep objects and lists may be nested in `attrs`; deeper JSON could not be read back.
pub const ATTRIBUTES_DEPTH: usize = 32;
/// The longest id of a request, progress token, and name of a method, tool or prompt, in bytes of JSON.
pub const REQUEST_ID_BYTES: usize = 256;
/// The longest text that the refusal of an argument repeats, in characters, and how many names of arguments it lists.
pub const ECHO_CHARS: usize = 40;
/// See [`ECHO_CHARS`].
pub const ECHO_NAMES: usize = 10;
/// The longest URI of a resource and the longest cursor, in bytes of JSON. A document's name may be escaped in it.
pub const URI_BYTES: usize = 2048;
/// The longest query of any search, in bytes.
pub const QUERY_BYTES: usize = 4096;
/// The most neighbours that one search of the graph adds.
pub const NEIGHBOURS: usize = 200;
/// The most relations that one search of the graph returns.
pub const RELATIONS_FOUND: usize = 2000;
/// The most bytes of text in one reply, except for a single document that is requested by name.
pub const REPLY_BYTES: usize = 256 * 1024;
/// The most characters of text in one reply, unless the call requests more by `limit` or `maxChars`.
pub const REPLY_CHARS: usize = 25_000;
/// The characters of text in a bundle, unless the call gives another number.
pub const BUNDLE_CHARS: usize = 24_000;
/// A reply whose text has fewer bytes than this also has structured data (`structuredContent`).
pub const STRUCTURED_BYTES: usize = 2 * 1024;
/// The most bytes of lines that one search of documents loads: the largest reply that any setting allows.
pub const HITS_BYTES: usize = 1024 * 1024;
/// The most places that a result of a search names beside its own, which have the same text.
pub const SIMILAR_PLACES: usize = 5;
/// The most bytes of names in a list that accompanies the requested data.
pub const NAMES_BYTES: usize = 16 * 1024;
/// The most entities, observations and relations, all together, in one batch for the graph.
pub const GRAPH_BATCH_ITEMS: usize = 500;
/// The most bytes of text and attributes in one batch for the graph.
pub const GRAPH_BATCH_BYTES: usize = 256 * 1024;
/// The most documents in one batch call.
pub const BATCH_DOCUMENTS: usize = 100;
/// The most edits in one call of `edit_memory_bank_file`.
pub const EDITS: usize = 100;
/// The longest single line of text taken from an argument (a title, a task, a note), in bytes.
pub const LINE_BYTES: usize = 8 * 1024;
/// The longest text of several lines taken from an argument (details, a context), in bytes.
pub const TEXT_BYTES: usize = 64 * 1024;
/// The most items in one list argument.
pub const LIST_ITEMS: usize = 500;
/// The longest line that a search result repeats, in characters; longer ones are cut around the hit.
pub const RESULT_LINE_CHARS: usize = 500;
/// The most thoughts kept for one thinking session, and the most sessions kept for one user in one project.
pub const THOUGHTS: usize = 1000;
/// See [`THOUGHTS`].
pub const THINKING_SESSIONS: usize = 100;
/// The most resources in one page of `resources/list`.
pub const RESOURCE_PAGE: usize = 100;
/// The most documents that one bank may hold.
pub const DOCUMENTS: usize = 100_000;
/// The memory that all search indexes of a process may take, in bytes, unless a setting changes it.
pub const SEARCH_INDEX_BYTES: u64 = 512 * 1024 * 1024;
/// The memory that the search index of one project may take, in bytes, unless a setting changes it.
pub const SEARCH_INDEX_PROJECT_BYTES: u64 = 448 * 1024 * 1024;
/// How long a search waits for its index before it fails with "being built", in milliseconds.
pub const SEARCH_INDEX_WAIT_MS: u64 = 1000;
/// How long a search waits for an index that is expected within a second but is queued behind others, in milliseconds.
pub const SEARCH_TURN_WAIT_MS: u64 = 5000;
/// How long a search waits for the vector of its query from a model in this process before it searches by words only,
/// in milliseconds.
pub const QUERY_VECTOR_WAIT_MS: u64 = 150;
/// How long a search waits for the vector of its query from a service, which may be far away. After three consecutive late
/// vectors, searches do not wait for some
/// time.
pub const SERVICE_VECTOR_WAIT_MS: u64 = 1000;
/// The most bytes and files of one backup. Without this bound a sparse file, which itself takes no space, would fill
/// the disk.
pub const BACKUP_BYTES: u64 = 1024 * 1024 * 1024;
/// See [`BACKUP_BYTES`].
pub const BACKUP_FILES: usize = 50_000;
/// At every version whose number is a multiple of this, the history stores the former text as a whole, so that a text is
/// rebuilt of at most this many steps.
pub const VERSIONS_TO_WHOLE: i64 = 256;
/// A change that replaces more than one part in `DELTA_PART` of a text, and more than [`DELTA_BYTES`], is stored as the
/// whole former text.
pub const DELTA_PART: usize = 8;
/// See [`DELTA_PART`].
pub const DELTA_BYTES: usize = 1024;
/// The most versions in one page of a list.
pub const VERSIONS_LISTED: usize = 200;
/// The most versions of a document that are followed back to take a change back, or to find the origin of lines.
pub const CHAIN_VERSIONS: usize = 1000;
/// The most bytes of replaced text in them.
pub const CHAIN_BYTES: usize = 8 * 1024 * 1024;
/// The most changes of an entity that are followed back.
pub const GRAPH_CHAIN_CHANGES: usize = 5000;
/// The most entities that a picture of the graph is made of.
pub const OUTLINE_ENTITIES: usize = 50_000;
/// The most relations.
pub const OUTLINE_RELATIONS: usize = 150_000;
/// The most bytes of a graph, and of its items that changed since, of which a call makes the graph as it was at a time: its texts, and
/// [`GRAPH_ROW_BYTES`] for each item.
pub const PAST_GRAPH_BYTES: usize = 16 * 1024 * 1024;
/// The bytes of an entity, an observation or a relation beside its texts.
pub const GRAPH_ROW_BYTES: usize = 500;
/// The most versions that one call takes back.
pub const UNDO_VERSIONS: usize = 2000;
/// The most documents whose changes one call takes back.
pub const UNDO_DOCUMENTS: usize = 100;
/// The most bytes that such a call writes.
pub const UNDO_BYTES: usize = 8 * 1024 * 1024;
/// The most entities, facts and relations together of a graph that is searched for what can be folded.
pub const MAINTAINED_ITEMS: usize = 100_000;
/// The most bytes of documents that are searched for it.
pub const MAINTAINED_BYTES: u64 = 16 * 1024 * 1024;
/// The memory of such a search: the documents, and the graph beside its copy.
pub const MAINTENANCE_BYTES: usize = 32 * 1024 * 1024;
/// The most proposals in one reply, and the most that one call carries out.
pub const PROPOSALS: usize = 50;
/// How long a writer waits for another process that holds the bank's lock, in milliseconds.
pub const LOCK_WAIT_MS: u64 = 10_000;
/// The highest number in the name of an archive of one month.
pub const SERIES: u32 = 9999;
/// The longest diff in a reply, in characters; a note reports omissions.
pub const DIFF_CHARS: usize = 4000;
/// The most characters of removed texts in a reply; their number is reported.
pub const REMOVED_CHARS: usize = 4000;
/// The most resources that one session, or one client over stdio, may subscribe to.
pub const SUBSCRIPTIONS: usize = 1000;
/// The most bytes of one bank, or one backup of it, in a transfer between a folder, a database and a backup file. The
/// bank is held in memory and written in one transaction.
pub const TRANSFER_BYTES: u64 = 1024 * 1024 * 1024;
/// The most bytes of all histories of a bank in a backup file. Older versions are left out.
pub const TRANSFER_HISTORIES_BYTES: u64 = 256 * 1024 * 1024;
/// The most bytes of the history of one document, or of the graph, in a transfer, as a folder stores it. Older versions are left out.
pub const TRANSFER_HISTORY_BYTES: usize = 32 * 1024 * 1024;
/// The longest line of a history in a backup file, in bytes, as of a graph's log.
pub const TRANSFER_LINE_BYTES: usize = 16 * 1024 * 1024;
/// The largest number of a version or change in a transfer.
pub const TRANSFER_NUMBER: i64 = 1 << 40;
/// The largest number of a change of a graph in a folder. Changes that a repository planted beside them have larger ones, which calls can
/// name, too.
pub const GRAPH_OWN_NUMBER: i64 = 1 << 31;
/// The longest path of a file, id or name of an entity that a database stores, in bytes: these columns are indexed.
pub const TRANSFER_PATH_BYTES: usize = 1024;
/// The most unpacked bytes of a backup file, all its backups together.
pub const ARCHIVE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// The most files in a backup file.
pub const ARCHIVE_FILES: usize = 250_000;
/// The most backups that are kept of one project; the oldest are deleted.
pub const BACKUPS: usize = 50;
/// How many folders deep a file of a bank, or of a backup of it, may be.
pub const FILE_LEVELS: usize = 8;
/// The largest rules file of a mode, in bytes. It comes with the repository, so reading it must be cheap.
pub const RULES_BYTES: u64 = 64 * 1024;
/// The most banks that may be registered.
pub const REGISTERED_STORES: usize = 1000;
/// The most keys of a user in one list.
pub const KEYS_LISTED: usize = 2000;
/// The most active keys of a project in a database.
pub const PROJECT_KEYS: usize = 1000;
/// The most members of a project that an owner adds to; operators may add more. An owner invites as many users a day.
pub const PROJECT_MEMBERS: usize = 500;
/// The most grants of a user in a project; past it the one that was refreshed least lately ends.
pub const GRANTS: usize = 100;
/// The most tokens of an outside issuer that are stored for a grant; past it the oldest is forgotten, and verified again when it
/// is presented.
pub const OUTSIDE_TOKENS: usize = 100;
/// The most clients that registered themselves and that no user has let in.
pub const WAITING_CLIENTS: usize = 2000;
/// The most assertions of a client that are remembered until they expire.
pub const ASSERTIONS: usize = 1000;
/// The most identities of outside issuers in a database; past it no user is created for one.
pub const IDENTITIES: usize = 100_000;
/// The most active keys of a folder.
pub const FOLDER_KEYS: usize = 100;
/// The most keys that are kept of a folder, revoked ones included; the oldest revoked keys are deleted first.
pub const FOLDER_KEYS_KEPT: usize = 1000;
/// The longest label of a key, in characters.
pub const KEY_LABEL_CHARS: usize = 200;
/// The highest rate limit of a key, in requests per minute; 0 = unlimited.
pub const KEY_RATE_LIMIT_MAX: u32 = 1_000_000;
/// The longest lifetime of a key, in days.
pub const KEY_LIFETIME_DAYS_MAX: u32 = 3650;
/// The longest name of a user, in bytes: the bound of the database.
pub const USER_NAME_BYTES: usize = 255;
/// The longest slug of a project, in characters.
pub const PROJECT_SLUG_CHARS: usize = 100;
/// The most distinct words of a query that count; more words would only cost time.
pub const QUERY_WORDS: usize = 32;
