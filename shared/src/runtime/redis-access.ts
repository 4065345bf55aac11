/**
 * What a service may do in Redis, as an ACL: scripts, data and the identity of the store (INFO); nothing that empties,
 * reconfigures or lists it. All keys: each of the three services writes inboxes.
 */
export const REDIS_ACCESS =
  'on ~* &* +@all -@admin -@dangerous +info +cluster|info +cluster|slots +cluster|shards +cluster|nodes' as const;
