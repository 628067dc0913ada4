#include "audit/sql_schema.h"

namespace kokuin::audit {

// Times are microseconds since 1970 (POSIX); names of octets (SHA-256, serial numbers, imprints) lower-case
// hexadecimal.
const char* const sql_tables = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE raw_segment (name TEXT PRIMARY KEY, first INTEGER, records INTEGER, previous TEXT) WITHOUT ROWID;
CREATE TABLE raw_token (number INTEGER PRIMARY KEY, segment TEXT, at INTEGER, serial TEXT, gen_time INTEGER, policy TEXT,
    algorithm TEXT, imprint TEXT, tsu TEXT, tac TEXT, tac_sha256 TEXT, clock_bound INTEGER, certificate TEXT);
CREATE TABLE raw_event (number INTEGER PRIMARY KEY, segment TEXT, at INTEGER, kind TEXT, subject TEXT, text TEXT);
CREATE TABLE raw_field (number INTEGER, key TEXT, text TEXT, integer INTEGER, octets BLOB, PRIMARY KEY (number, key))
    WITHOUT ROWID;
CREATE TABLE raw_blob (number INTEGER, position INTEGER, sha256 TEXT, PRIMARY KEY (number, position)) WITHOUT ROWID;
CREATE TABLE raw_verdict (number INTEGER PRIMARY KEY, at INTEGER, tsu TEXT, verdict TEXT, tac TEXT, tac_sha256 TEXT,
    reason TEXT, times INTEGER);
CREATE TABLE raw_tac (sha256 TEXT PRIMARY KEY, serial TEXT, holder TEXT, issuer TEXT, not_before INTEGER,
    not_after INTEGER, audited INTEGER, expires INTEGER, offset INTEGER, delay INTEGER, max_offset INTEGER,
    max_delay INTEGER, policy TEXT, der BLOB);
CREATE TABLE raw_certificate (sha256 TEXT PRIMARY KEY, role TEXT, subject TEXT, issuer TEXT, serial TEXT,
    not_before INTEGER, not_after INTEGER, der BLOB);
CREATE TABLE raw_key (number INTEGER PRIMARY KEY, at INTEGER, kind TEXT, subject TEXT, label TEXT, token TEXT,
    spki TEXT, certificate TEXT, activated INTEGER);
CREATE TABLE raw_checkpoint (size INTEGER PRIMARY KEY, segment TEXT, origin TEXT, root TEXT, note TEXT);
CREATE TABLE raw_cosignature (size INTEGER, witness TEXT, at INTEGER, line TEXT, PRIMARY KEY (size, witness))
    WITHOUT ROWID;
)sql";

#define KOKUIN_ISO(column)                                                                         \
    "strftime('%Y-%m-%dT%H:%M:%S', " column " / 1000000, 'unixepoch') || printf('.%06dZ', " column \
    " % 1000000)"

const char* const sql_views =
    "CREATE INDEX raw_token_by_serial ON raw_token (serial);\n"
    "CREATE INDEX raw_token_by_gen_time ON raw_token (gen_time);\n"
    "CREATE INDEX raw_token_by_imprint ON raw_token (imprint);\n"
    "CREATE INDEX raw_token_by_tac ON raw_token (tac_sha256);\n"
    "CREATE INDEX raw_event_by_kind ON raw_event (kind, at);\n"
    "CREATE VIEW segments AS SELECT name, first, records, previous,\n"
    "    (SELECT count(*) FROM raw_token WHERE segment = name) AS tokens,\n"
    "    (SELECT count(*) FROM raw_event WHERE segment = name) AS events FROM raw_segment;\n"
    "CREATE VIEW tokens AS SELECT number, segment, serial, gen_time AS gen_time_us,\n"
    "    " KOKUIN_ISO("gen_time") " AS gen_time, policy, algorithm AS imprint_algorithm, imprint, tsu, tac, tac_sha256,\n"
    "    clock_bound AS clock_bound_us, certificate AS certificate_sha256, at AS at_us, " KOKUIN_ISO("at") " AS at\n"
    "    FROM raw_token;\n"
    "CREATE VIEW events AS SELECT number, segment, at AS at_us, " KOKUIN_ISO("at") " AS at, kind, subject, text\n"
    "    FROM raw_event;\n"
    "CREATE VIEW event_fields AS SELECT number, key,\n"
    "    CASE WHEN octets IS NOT NULL THEN 'octets' WHEN integer IS NOT NULL THEN 'integer' ELSE 'text' END AS type,\n"
    "    text, integer, octets FROM raw_field;\n"
    "CREATE VIEW event_blobs AS SELECT number, position, sha256 FROM raw_blob;\n"
    "CREATE VIEW refusals AS SELECT number, at AS at_us, " KOKUIN_ISO("at") " AS at,\n"
    "    CASE WHEN instr(key, '/') THEN substr(key, 1, instr(key, '/') - 1) ELSE key END AS failure,\n"
    "    CASE WHEN instr(key, '/') THEN substr(key, instr(key, '/') + 1) ELSE '' END AS cause, integer AS requests\n"
    "    FROM raw_event JOIN raw_field USING (number) WHERE kind = 'refusals' AND integer IS NOT NULL;\n"
    "CREATE VIEW tacs AS SELECT number, raw_verdict.at AS at_us, " KOKUIN_ISO("raw_verdict.at") " AS at, tsu, verdict,\n"
    "    reason, times, tac, tac_sha256, holder, issuer, policy, audited AS audited_us,\n"
    "    " KOKUIN_ISO("audited") " AS audited, expires AS expires_us, " KOKUIN_ISO("expires") " AS expires,\n"
    "    not_before AS not_before_us, not_after AS not_after_us, offset AS offset_us, delay AS delay_us,\n"
    "    max_offset AS max_offset_us, max_delay AS max_delay_us, der\n"
    "    FROM raw_verdict LEFT JOIN raw_tac ON raw_tac.sha256 = tac_sha256;\n"
    "CREATE VIEW certificates AS SELECT sha256, role, subject, issuer, serial, not_before AS not_before_us,\n"
    "    " KOKUIN_ISO("not_before") " AS not_before, not_after AS not_after_us, " KOKUIN_ISO("not_after") " AS not_after,\n"
    "    der FROM raw_certificate;\n"
    "CREATE VIEW keys AS SELECT spki AS spki_sha256, label, tsu, token, certificate AS certificate_sha256,\n"
    "    generated AS generated_us, " KOKUIN_ISO("generated") " AS generated,\n"
    "    certified AS certified_us, " KOKUIN_ISO("certified") " AS certified,\n"
    "    activated AS activated_us, " KOKUIN_ISO("activated") " AS activated,\n"
    "    retired AS retired_us, " KOKUIN_ISO("retired") " AS retired,\n"
    "    compromised AS compromised_us, " KOKUIN_ISO("compromised") " AS compromised,\n"
    "    destroyed AS destroyed_us, " KOKUIN_ISO("destroyed") " AS destroyed\n"
    "    FROM (SELECT spki, max(label) AS label,\n"
    "        max(CASE WHEN kind IN ('key.certified', 'key.activated') THEN subject END) AS tsu, max(token) AS token,\n"
    "        max(CASE WHEN kind = 'key.certified' THEN certificate END) AS certificate,\n"
    "        min(CASE WHEN kind = 'key.generated' THEN at END) AS generated,\n"
    "        min(CASE WHEN kind = 'key.certified' THEN at END) AS certified,\n"
    "        min(CASE WHEN kind = 'key.activated' THEN ifnull(activated, at) END) AS activated,\n"
    "        min(CASE WHEN kind = 'key.retired' THEN at END) AS retired,\n"
    "        min(CASE WHEN kind = 'key.compromised' THEN at END) AS compromised,\n"
    "        min(CASE WHEN kind = 'key.destroyed' THEN at END) AS destroyed\n"
    "        FROM raw_key WHERE spki IS NOT NULL GROUP BY spki);\n"
    "CREATE VIEW checkpoints AS SELECT size, segment, origin, root, note FROM raw_checkpoint;\n"
    "CREATE VIEW cosignatures AS SELECT size, witness, at AS at_us, " KOKUIN_ISO("at") " AS at, line\n"
    "    FROM raw_cosignature;\n";

#undef KOKUIN_ISO

}  // namespace kokuin::audit
