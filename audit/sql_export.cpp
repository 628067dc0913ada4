#include "audit/sql_export.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "audit/present.h"
#include "audit/sql_schema.h"
#include "base/sqlite/sqlite.h"
#include "base/text.h"
#include "pki/certificate.h"
#include "pki/hash.h"
#include "store/scan.h"
#include "store/tlog/note.h"
#include "tac/explain.h"
#include "tac/tac.h"

namespace kokuin::audit {
namespace {

constexpr int rows_of_a_transaction = 5000;

/// Binds what is there; what isn't stays NULL.
template <typename T>
void bind_value(sqlite::Statement& statement, int index, const T& value) {
    statement.bind(index, value);
}
template <typename T>
void bind_value(sqlite::Statement& statement, int index, const std::optional<T>& value) {
    if (value) statement.bind(index, *value);
}
void bind_value(sqlite::Statement& statement, int index, const std::string& text) {
    statement.bind(index, std::string_view(text));
}
void bind_value(sqlite::Statement& statement, int index, const std::optional<std::string>& text) {
    if (text) statement.bind(index, std::string_view(*text));
}
void bind_value(sqlite::Statement& statement, int index, const Bytes& octets) {
    statement.bind(index, View(octets));
}

template <typename T>
const T* value_of(const store::Event& event, const std::string& key) {
    const auto at = event.fields.find(key);
    return at == event.fields.end() ? nullptr : std::get_if<T>(&at->second);
}
std::optional<std::string> text_value(const store::Event& event, const std::string& key) {
    const auto* text = value_of<std::string>(event, key);
    return text ? std::optional(*text) : std::nullopt;
}

class SqlExport {
  public:
    SqlExport(std::string dir, store::ArchiveReader& reader, const store::Query& query)
        : dir_(std::move(dir)), reader_(reader), query_(query) {}

    Done write(const std::string& path) {
        auto opened = sqlite::Database::open(path, sqlite::Database::Mode::create);
        if (!opened) return std::move(opened).error();
        database_.emplace(std::move(*opened));
        // Nobody reads it before it is whole, so nothing has to be taken back.
        run("PRAGMA journal_mode=OFF");
        run("PRAGMA user_version=" + std::to_string(sql_views_version));
        run("BEGIN");
        run(sql_tables);
        prepare();
        if (trouble_) return *trouble_;
        tokens();
        events();
        segments();
        meta();
        run(sql_views);
        run("COMMIT");
        if (trouble_) return *trouble_;
        if (count_ == 0) return Error::no("nothing matched");
        return {};
    }

  private:
    void run(const std::string& sql) {
        if (trouble_) return;
        if (auto done = database_->execute(sql.c_str()); !done) trouble_ = std::move(done).error();
    }

    void prepare() {
        const std::pair<sqlite::Statement*, const char*> all[] = {
            {&token_, "INSERT INTO raw_token VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
            {&event_, "INSERT INTO raw_event VALUES (?, ?, ?, ?, ?, ?)"},
            {&field_, "INSERT INTO raw_field VALUES (?, ?, ?, ?, ?)"},
            {&blob_, "INSERT INTO raw_blob VALUES (?, ?, ?)"},
            {&verdict_, "INSERT INTO raw_verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?)"},
            {&tac_, "INSERT OR IGNORE INTO raw_tac VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
            {&certificate_, "INSERT OR IGNORE INTO raw_certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?)"},
            {&key_, "INSERT INTO raw_key VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
            {&segment_, "INSERT INTO raw_segment VALUES (?, ?, ?, ?)"},
            {&checkpoint_, "INSERT OR IGNORE INTO raw_checkpoint VALUES (?, ?, ?, ?, ?)"},
            {&cosignature_, "INSERT OR IGNORE INTO raw_cosignature VALUES (?, ?, ?, ?)"},
            {&meta_, "INSERT INTO meta VALUES (?, ?)"},
        };
        for (const auto& [statement, sql] : all) {
            auto prepared = database_->prepare(sql);
            if (!prepared) {
                trouble_ = prepared.error();
                return;
            }
            *statement = std::move(*prepared);
        }
    }

    template <typename... Values>
    void insert(sqlite::Statement& statement, const Values&... values) {
        if (trouble_) return;
        int index = 0;
        (bind_value(statement, ++index, values), ...);
        if (auto done = statement.run(); !done) trouble_ = std::move(done).error();
        if (++rows_ % rows_of_a_transaction == 0) {
            run("COMMIT");
            run("BEGIN");
        }
    }

    void searched(const Done& done) {
        if (!done && !trouble_) trouble_ = done.error();
    }

    void tokens() {
        searched(reader_.find(query_, [this](const store::Found& found) {
            const auto& one = found.issuance();
            std::optional<std::string> tac;
            std::optional<std::string> tac_sha256;
            if (one.tac) {
                tac = tac::serial_hex(one.tac->serial);
                tac_sha256 = to_hex(one.tac->blob);
            }
            ++count_;
            insert(token_, found.record.number, found.segment, found.record.at_us, to_hex(one.serial),
                   one.gen_time_us, one.policy, hash_name(one.imprint_algorithm), to_hex(one.imprint),
                   one.tsu, tac, tac_sha256, one.clock_bound_us, to_hex(one.certificate));
            certificate_of(one.certificate, found.segment, "tsu");
            return !trouble_;
        }));
    }

    void events() {
        if (trouble_) return;
        store::EventQuery query;
        query.to = query_.to;
        searched(reader_.events(query, [this](const store::Found& found) {
            const auto& event = found.event();
            if (found.record.number >= query_.first &&
                (!query_.from || found.record.at_us >= to_unix_us(*query_.from)))
                whole(found);
            if (event.kind.starts_with("tac.")) verdict(found);
            if (event.kind.starts_with("key.")) key(found);
            return !trouble_;
        }));
    }

    void whole(const store::Found& found) {
        const auto& event = found.event();
        const auto number = found.record.number;
        ++count_;
        insert(event_, number, found.segment, found.record.at_us, event.kind, event.subject, event.text);
        for (const auto& [key, value] : event.fields) {
            const auto* text = std::get_if<std::string>(&value);
            const auto* integer = std::get_if<std::int64_t>(&value);
            const auto* octets = std::get_if<Bytes>(&value);
            insert(field_, number, key, text ? std::optional(*text) : std::nullopt,
                   integer ? std::optional(*integer) : std::nullopt,
                   octets ? std::optional(View(*octets)) : std::nullopt);
        }
        std::int64_t position = 0;
        for (const auto& id : event.blobs) insert(blob_, number, position++, to_hex(id));
    }

    void verdict(const store::Found& found) {
        const auto& event = found.event();
        static const std::pair<const char*, const char*> verdicts[] = {{"tac.accepted", "accepted"},
                                                                       {"tac.stop", "stop"},
                                                                       {"tac.refused", "refused"},
                                                                       {"tac.revoked", "taken-back"}};
        for (const auto& [kind, verdict] : verdicts) {
            if (event.kind != kind) continue;
            auto serial = text_value(event, "tac");
            std::optional<std::string> sha256;
            if (const auto* der = value_of<Bytes>(event, "tac")) {
                tac(*der, serial, sha256);
            } else if (event.kind == "tac.refused" && !event.blobs.empty()) {
                // What came, whatever it was.
                const auto der_of = reader_.blob(event.blobs.front(), found.segment);
                if (der_of) tac(*der_of, serial, sha256);
            }
            const auto* times = value_of<std::int64_t>(event, "count");
            insert(verdict_, found.record.number, found.record.at_us, event.subject,
                   std::string_view(verdict), serial, sha256, text_value(event, "reason"),
                   times ? *times : std::int64_t{1});
        }
        for (int i = 0;; ++i) {
            const auto* der = value_of<Bytes>(event, "chain_" + std::to_string(i));
            if (!der) break;
            certificate(*der, i == 0 ? "taa" : "ca");
        }
    }

    void tac(const Bytes& der, std::optional<std::string>& serial, std::optional<std::string>& sha256) {
        const auto decoded = tac::decode(der);
        if (!decoded) return;
        const auto& tac = decoded->tac;
        const auto told = tac::explain(tac);
        const auto us = [](const std::optional<microseconds>& time) {
            return time ? std::optional<std::int64_t>(time->count()) : std::nullopt;
        };
        serial = told.serial;
        sha256 = to_hex(pki::digest(pki::Hash::sha256, der));
        insert(tac_, *sha256, told.serial, told.holder, told.issuer, to_unix_us(tac.not_before),
               to_unix_us(tac.not_after), to_unix_us(tac.ntp_time), to_unix_us(tac.expiration),
               std::int64_t{tac.offset.count()}, std::int64_t{tac.delay.count()}, us(tac.max_offset),
               us(tac.max_delay), told.policies.empty() ? std::string() : told.policies.front(), der);
    }

    void key(const store::Found& found) {
        const auto& event = found.event();
        const auto* activated = value_of<std::int64_t>(event, "activated_us");
        insert(key_, found.record.number, found.record.at_us, event.kind, event.subject,
               text_value(event, "key"), text_value(event, "token"), text_value(event, "spki_sha256"),
               text_value(event, "certificate"), activated ? std::optional(*activated) : std::nullopt);
        if (event.kind == "key.certified")
            for (std::size_t i = 0; i < event.blobs.size(); ++i)
                certificate_of(event.blobs[i], found.segment, i == 0 ? "tsu" : "ca");
    }

    void certificate_of(const store::BlobId& id, const std::string& segment, std::string_view role) {
        if (trouble_ || !certificates_.insert(id).second) return;
        const auto der = reader_.blob(id, segment);
        if (!der) {
            trouble_ = der.error();
            return;
        }
        certificate(*der, role);
    }

    void certificate(const Bytes& der, std::string_view role) {
        const auto read = pki::Certificate::from_der(der);
        if (!read) return;
        insert(certificate_, to_hex(read->sha256()), role, one_line(read->subject_text(), any_length),
               one_line(read->issuer_text(), any_length), to_hex(read->serial()),
               to_unix_us(read->not_before()), to_unix_us(read->not_after()), der);
    }

    void segments() {
        if (trouble_) return;
        const auto names = store::segments_in(dir_);
        if (!names) return searched(names.error());
        for (const auto& name : *names) {
            auto scan = store::SegmentScan::open(dir_, name);
            if (!scan) return searched(scan.error());
            const auto count = scan->count();
            if (!count) return searched(count.error());
            insert(segment_, name, scan->facts().first, *count,
                   scan->facts().previous.empty() ? std::nullopt : std::optional(scan->facts().previous));
            searched(scan->checkpoints(
                [&](std::int64_t size, const std::string& note) { checkpoint(name, size, note); }));
            searched(scan->cosignatures([&](std::int64_t size, const std::string& witness,
                                            const std::string& line) { cosignature(size, witness, line); }));
        }
    }

    void checkpoint(const std::string& segment, std::int64_t size, const std::string& note) {
        const auto parsed = tlog::Note::parse(note);
        const auto head =
            parsed ? tlog::Checkpoint::parse(parsed->text) : Result<tlog::Checkpoint>(parsed.error());
        insert(checkpoint_, size, segment, head ? std::optional(head->origin) : std::nullopt,
               head ? std::optional(to_hex(head->head.root)) : std::nullopt, note);
    }

    void cosignature(std::int64_t size, const std::string& witness, const std::string& line) {
        // A key id of four octets, then the time in eight (C2SP tlog-cosignature).
        std::optional<std::int64_t> at;
        const auto octets = from_base64(std::string_view(line).substr(line.rfind(' ') + 1));
        if (octets && octets->size() >= 12) {
            std::uint64_t time = 0;
            for (std::size_t i = 4; i < 12; ++i) time = time << 8U | (*octets)[i];
            if (time < 9'000'000'000) at = static_cast<std::int64_t>(time) * 1'000'000;
        }
        insert(cosignature_, size, witness, at, line);
    }

    void meta() {
        insert(meta_, std::string_view("views"), std::to_string(sql_views_version));
        insert(meta_, std::string_view("archive"), reader_.id());
        insert(meta_, std::string_view("origin"), reader_.origin());
        insert(meta_, std::string_view("exported"), to_rfc3339(SystemWallClock().now(), 6));
        if (query_.from) insert(meta_, std::string_view("from"), to_rfc3339(*query_.from, 6));
        if (query_.to) insert(meta_, std::string_view("to"), to_rfc3339(*query_.to, 6));
    }

    const std::string dir_;
    store::ArchiveReader& reader_;
    const store::Query& query_;
    std::optional<sqlite::Database> database_;  // outlives its statements
    sqlite::Statement token_, event_, field_, blob_, verdict_, tac_, certificate_, key_, segment_,
        checkpoint_, cosignature_, meta_;
    std::set<store::BlobId> certificates_;
    std::uint64_t rows_ = 0;
    std::uint64_t count_ = 0;
    std::optional<Error> trouble_;
};

}  // namespace

Done export_sqlite(const std::string& dir, store::ArchiveReader& reader, const store::Query& query,
                   const std::string& out) {
    const std::string draft = out + ".new";
    if (std::remove(draft.c_str()) != 0 && errno != ENOENT)
        return Error::environment(draft + ": can't be replaced: " + std::strerror(errno));
    auto done = SqlExport(dir, reader, query).write(draft);
    if (done && std::rename(draft.c_str(), out.c_str()) != 0)
        done = Error::environment(out + ": can't be written: " + std::strerror(errno));
    if (!done) std::remove(draft.c_str());
    return done;
}

}  // namespace kokuin::audit
