/** Everything local and unlimited, messages for the offline kept in Mnesia. */
export function ejabberdConfig(port: number): string {
  return `hosts: [localhost]
loglevel: error
auth_method: internal
auth_password_format: plain
max_fsm_queue: 1000000
acl: {loopback: {ip: [127.0.0.0/8]}}
access_rules: {c2s: {allow: all}}
shaper: {}
shaper_rules: {max_user_sessions: 10, max_user_offline_messages: infinity}
api_permissions:
  local: {who: {ip: [127.0.0.1/8]}, what: ["*"]}
listen:
  - {port: ${port}, ip: "127.0.0.1", module: ejabberd_http, backlog: 4096, request_handlers: {/ws: ejabberd_http_ws, /api: mod_http_api}}
websocket_ping_interval: 300
websocket_timeout: 600
modules:
  mod_admin_extra: {}
  mod_http_api: {}
  mod_offline: {db_type: mnesia, access_max_user_messages: max_user_offline_messages}
  mod_stream_mgmt: {resume_timeout: 0, max_resume_timeout: 0, max_ack_queue: infinity, ack_timeout: 120s, resend_on_timeout: true}
`;
}
