/** Names that older clients call; they are answered, but not listed. */
export const OLDER_NAMES = [
  "get_current_mode",
  "process_umb_command",
  "complete_umb",
  "list_backups",
  "register_store",
  "unregister_store",
  "reset_sequential_thinking",
  "graph_unlink_entities",
  "graph_delete_observation",
  "graph_rebuild",
  "graph_compact",
];
