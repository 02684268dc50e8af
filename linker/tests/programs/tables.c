/* A database in memory and in a file, by the static library of SQLite. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int print(void *unused, int count, char **values, char **names) {
    (void)unused;
    for (int i = 0; i < count; i++) printf("%s=%s ", names[i], values[i] ? values[i] : "NULL");
    puts("");
    return 0;
}

int main(void) {
    char path[] = "/tmp/metaos-tables-XXXXXX";
    close(mkstemp(path));
    sqlite3 *database;
    int status = sqlite3_open(path, &database);
    const char *script =
        "PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);"
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<2000)"
        " INSERT INTO t SELECT x, printf('row %d', x*x) FROM c;"
        "CREATE INDEX i ON t(b); SELECT count(*), max(b), sum(a) FROM t; DELETE FROM t WHERE a%3=0;"
        "SELECT count(*) FROM t; PRAGMA wal_checkpoint; VACUUM; PRAGMA integrity_check;";
    status |= sqlite3_exec(database, script, print, NULL, NULL);
    status |= sqlite3_close(database);
    unlink(path);
    return status;
}
