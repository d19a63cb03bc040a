#!/bin/sh
# Makes the role that the server logs in as: the name and the password of DATABASE_URL. It is neither superuser nor exempt
# from row-level security; being a member of app_server lets it serve, and nothing else.
#
# Run by the image of PostgreSQL when it makes a new data folder, after the migrations.
set -eu

url=${DATABASE_URL:-}
if [ -z "$url" ] && [ -n "${DATABASE_URL_FILE:-}" ]; then
  url=$(cat "$DATABASE_URL_FILE")
fi
login=${url#*://}
login=${login%%@*}
SERVER_ROLE=${login%%:*}
SERVER_PASSWORD=${login#*:}

case "$login" in
  *[!A-Za-z0-9_:.-]* | :* | *: | *:*:* | "")
    echo "900_login_role.sh: DATABASE_URL must begin with postgresql://ROLE:PASSWORD@, each of letters, digits, '_', '.' and '-'" >&2
    exit 1
    ;;
  *:*) ;;
  *)
    echo "900_login_role.sh: DATABASE_URL has no password" >&2
    exit 1
    ;;
esac
if [ "$SERVER_ROLE" = "$POSTGRES_USER" ]; then
  echo "900_login_role.sh: DATABASE_URL names the owner; the server should log in as a role of its own, such as mbmcp_server" >&2
  exit 1
fi

export SERVER_ROLE SERVER_PASSWORD
psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv role SERVER_ROLE
\getenv password SERVER_PASSWORD
CREATE ROLE :"role" LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'password';
GRANT app_server TO :"role";
SQL
