#include "audit/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <tuple>

#include <unistd.h>

#include "audit/expire.h"
#include "audit/export.h"
#include "audit/key_search.h"
#include "audit/present.h"
#include "audit/report_command.h"
#include "audit/seal_commands.h"
#include "audit/soundness.h"
#include "audit/sql_export.h"
#include "audit/verify_commands.h"
#include "audit/witness/commands.h"
#include "base/der.h"
#include "base/file.h"
#include "base/program.h"
#include "base/text.h"
#include "store/reader.h"
#include "tac/explain.h"
#include "tsa/protocol/token.h"

namespace kokuin::audit {
namespace {

/// What the command line says, as text.
struct Options {
    std::string archive;
    std::optional<std::string> serial, imprint, from, to, policy, tsu, tac, certificate, key, kind, subject;
    std::optional<std::int64_t> after;
    std::int64_t limit = 0;  // 0: none
    ExportArguments exported;
    std::string shown_serial, token_file, tac_out, certificate_out, tac_file;
    bool json = false;
};

Result<Bytes> read_hex(const std::string& option, const std::string& text, bool odd_allowed) {
    auto octets = from_hex(odd_allowed && text.size() % 2 == 1 ? "0" + text : text);
    if (!octets || octets->empty())
        return Error::usage(option + ": \"" + text + "\" isn't hexadecimal: give digits 0-9 and a-f" +
                            (odd_allowed ? "" : ", two for each octet"));
    return std::move(*octets);
}

Result<WallTime> read_time(const std::string& option, const std::string& text) {
    const auto time = from_rfc3339(text);
    if (!time)
        return Error::usage(option + ": \"" + text +
                            "\" is no date or time: give 2026-11-23 or 2026-11-23T12:00:00Z (RFC 3339)");
    return *time;
}

/// [from, to) of a search for tokens or events, and after which record it begins.
template <typename Query>
Done read_period(const Options& options, Query& query) {
    for (const auto& [option, text, end] :
         {std::tuple("--from", &options.from, &query.from), std::tuple("--to", &options.to, &query.to)}) {
        if (!*text) continue;
        auto time = read_time(option, **text);
        if (!time) return std::move(time).error();
        *end = *time;
    }
    // After the highest number there is there is none.
    constexpr auto highest = std::numeric_limits<store::RecordNumber>::max();
    if (options.after) query.first = *options.after == highest ? highest : *options.after + 1;
    return {};
}

Result<std::unique_ptr<store::ArchiveReader>> open_archive(const Options& options) {
    if (options.archive.empty())
        return Error::usage("--archive is missing: give the folder that holds the archive");
    if (options.limit < 0) return Error::usage("--limit: give how many at most, or 0 for all");
    return store::ArchiveReader::open(options.archive);
}

/// Prints what a search visits.
struct Listing {
    const Options& options;
    std::ostream& out;
    std::string (*json)(const store::Found&);
    std::string (*text)(const store::Found&);
    std::int64_t count = 0;

    store::Visitor visitor() {
        return [this](const store::Found& found) {
            ++count;
            if (options.json) {
                out << json(found) << '\n';
            } else {
                out << text(found);
            }
            return out.good() && count != options.limit;
        };
    }
    /// A search that found nothing is a "no".
    [[nodiscard]] Done end(const Done& searched) const {
        if (!searched) return searched.error();
        if (count == 0) return Error::no("nothing found in " + options.archive);
        return {};
    }
};

Result<store::Query> read_query(const Options& options) {
    store::Query query;
    if (options.serial) {
        auto serial = read_hex("--serial", *options.serial, true);
        if (!serial) return serial.error();
        query.serial = std::move(*serial);
    }
    if (options.imprint) {
        auto imprint = read_hex("--imprint", *options.imprint, false);
        if (!imprint) return imprint.error();
        query.imprint = std::move(*imprint);
    }
    if (auto done = read_period(options, query); !done) return done.error();
    if (options.policy) {
        if (!der::is_oid(*options.policy))
            return Error::usage("--policy: \"" + *options.policy +
                                "\" is no OID: give one like 1.3.6.1.4.1.1291.1.1.1.1");
        query.policy = options.policy;
    }
    query.tsu = options.tsu;
    if (options.tac) {
        auto serial = read_hex("--tac", *options.tac, true);
        if (!serial) return serial.error();
        query.tac = std::move(*serial);
    }
    if (options.certificate) {
        const auto digest = read_hex("--certificate", *options.certificate, false);
        if (!digest) return digest.error();
        store::BlobId id{};
        if (digest->size() != id.size())
            return Error::usage("--certificate: give the SHA-256 of a TSU's certificate, 64 digits");
        std::copy(digest->begin(), digest->end(), id.begin());
        query.certificates = {id};
    }
    return query;
}

/// What only the archive knows: the certificates of a key.
Done look_up(const Options& options, store::ArchiveReader& reader, store::Query& query) {
    if (!options.key) return {};
    auto certificates = certificates_of_key(reader, *options.key);
    if (!certificates) return std::move(certificates).error();
    if (query.certificates)
        std::erase_if(*certificates, [&](const auto& one) { return !query.certificates->contains(one); });
    query.certificates = std::move(*certificates);
    return {};
}

Done find(const Options& options, std::ostream& out) {
    auto query = read_query(options);
    if (!query) return query.error();
    auto reader = open_archive(options);
    if (!reader) return reader.error();
    if (auto done = look_up(options, **reader, *query); !done) return done;
    Listing listing{options, out, find_json, find_text};
    return listing.end((*reader)->find(*query, listing.visitor()));
}

Done write_out(const Options& options, std::ostream& out) {
    auto query = read_query(options);
    if (!query) return query.error();
    auto reader = open_archive(options);
    if (!reader) return reader.error();
    if (auto done = look_up(options, **reader, *query); !done) return done;
    if (options.exported.format == "sqlite") {
        if (options.exported.out.empty()) return Error::usage("--out is missing: the file to write");
        return export_sqlite(options.archive, **reader, *query, options.exported.out);
    }
    return export_tokens(**reader, *query, options.exported, out);
}

Done show(const Options& options, std::ostream& out) {
    const auto serial = read_hex("SERIAL", options.shown_serial, true);
    if (!serial) return serial.error();
    auto reader = open_archive(options);
    if (!reader) return reader.error();
    const auto shown = (*reader)->show(*serial);
    if (!shown) return shown.error();
    if (auto done = check_token(*shown); !done) return std::move(done).error().in(options.archive);
    if (!options.token_file.empty())
        if (auto done = write_file(options.token_file, shown->token); !done) return done;
    if (!options.certificate_out.empty())
        if (auto done = write_file(options.certificate_out, shown->certificate); !done) return done;
    if (!options.tac_out.empty()) {
        if (!shown->tac) return Error::no("the token " + options.shown_serial + " was issued without a TAC");
        if (auto done = write_file(options.tac_out, *shown->tac); !done) return done;
    }
    if (options.json) {
        out << show_json(*shown) << '\n';
    } else {
        out << show_text(*shown);
    }
    return {};
}

Done events(const Options& options, std::ostream& out) {
    store::EventQuery query;
    query.kind = options.kind;
    query.subject = options.subject;
    if (auto done = read_period(options, query); !done) return done;
    auto reader = open_archive(options);
    if (!reader) return reader.error();
    Listing listing{options, out, event_json, event_text};
    return listing.end((*reader)->events(query, listing.visitor()));
}

Done show_tac(const Options& options, std::ostream& out) {
    const auto octets = read_file(options.tac_file);
    if (!octets) return octets.error();
    std::string placement = "file";
    auto decoded = tac::decode(*octets);
    if (!decoded) {
        const auto token = tsp::parse_token_or_response(*octets);
        if (!token)
            return Error::usage(options.tac_file + ": neither a TAC (" + decoded.error().text +
                                ") nor a token (" + token.error().text + ")");
        const auto* embedded = token->tac();
        if (!embedded) return Error::no(options.tac_file + ": a token that carries no TAC");
        placement = embedded->placement;
        decoded = tac::decode(embedded->der);
        if (!decoded) return Error::no(options.tac_file + ": its TAC can't be read: " + decoded.error().text);
    }
    const auto explained = tac::explain(decoded->tac);
    if (options.json) {
        out << tac_json(explained, placement) << '\n';
    } else {
        out << tac_text(explained, placement);
    }
    return {};
}

}  // namespace

int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
    Options options;
    CLI::App app{"Finds and shows what a time-stamping authority's archive holds. Reads only.", "tsaudit"};
    app.require_subcommand(1);
    app.add_option("--archive", options.archive, "Folder that holds the archive (YYYY-MM.sqlite files)");
    app.set_version_flag("--version", "tsaudit 0.1.0");
    app.footer("Exit code: 0 yes, 1 nothing found, 2 wrong usage, 3 the archive can't be read.");
    add_json_flag(app, options.json);

    const auto add_times = [&](CLI::App* command) {
        command->add_option("--from", options.from, "Not before this date or time (RFC 3339, UTC)");
        command->add_option("--to", options.to, "Before this date or time (RFC 3339, UTC)");
    };
    const auto add_after = [&](CLI::App* command) {
        command->add_option("--after", options.after, "Only records after this number: to go on with a list");
    };
    const auto add_limit = [&](CLI::App* command) {
        command->add_option("--limit", options.limit, "No more than so many");
    };
    const auto add_query = [&](CLI::App* command) {
        command->add_option("--serial", options.serial, "Serial number, hex");
        command->add_option("--imprint", options.imprint, "Whole message imprint, hex");
        add_times(command);
        command->add_option("--policy", options.policy, "Policy OID");
        command->add_option("--tsu", options.tsu, "Name of the time-stamping unit");
        command->add_option("--tac", options.tac, "Serial number of the TAC, hex");
        command->add_option("--certificate", options.certificate, "SHA-256 of the TSU's certificate, hex");
        command->add_option("--key", options.key,
                            "Label of the TSU's key, or SHA-256 of its public key, hex");
        add_after(command);
    };
    CLI::App* find_command = app.add_subcommand("find", "Lists the tokens that match, oldest first");
    add_query(find_command);
    add_limit(find_command);
    CLI::App* export_command = app.add_subcommand(
        "export", "Writes the tokens that match: as CSV, JSON lines, each to a file, or all in SQLite");
    add_query(export_command);
    export_command
        ->add_option("--format", options.exported.format,
                     "csv, jsonl, tokens, or sqlite (with events and the rest: docs/sql.md)")
        ->check(CLI::IsMember({"csv", "jsonl", "tokens", "sqlite"}))
        ->capture_default_str();
    export_command->add_option("-o,--out", options.exported.out,
                               "File to write (default: stdout); of tokens the folder, which is made");

    CLI::App* show_command = app.add_subcommand("show", "Shows one token and how well its clock was known");
    show_command->add_option("SERIAL", options.shown_serial, "Serial number, hex")->required();
    show_command->add_option("--token", options.token_file, "Write the token (DER) to this file");
    show_command->add_option("--tac", options.tac_out,
                             "Write the TAC it was issued under (DER) to this file");
    show_command->add_option("--certificate", options.certificate_out,
                             "Write the TSU's certificate (DER) to this file");

    CLI::App* events_command =
        app.add_subcommand("events", "Lists what else happened: TACs, gates, audits, starts");
    events_command->add_option("--kind", options.kind, "Only this kind, e.g. tac.accepted");
    events_command->add_option("--subject", options.subject, "Only about this, e.g. a TSU's name");
    add_times(events_command);
    add_after(events_command);
    add_limit(events_command);

    VerifyArguments verification;
    const auto add_trust = [&](CLI::App* command) {
        command->add_option("--trust", verification.trust,
                            "Anchors, log key, last witnessed checkpoint (TOML, docs/audit.md)");
    };
    CLI::App* verify_command =
        app.add_subcommand("verify", "Checks the whole archive: nothing added, changed, moved or removed");
    add_trust(verify_command);
    verify_command->add_option("--since", verification.since,
                               "Checkpoint that --save has written: look at newer records only");
    verify_command->add_option("--save", verification.save,
                               "Where to write the newest checkpoint if all is well");
    verify_command
        ->add_option("--threads", verification.threads, "As many at once, at most 256 (default: all cores)")
        ->check(CLI::Range(0U, 256U));
    verify_command->add_flag("--progress", verification.progress,
                             "Tell how far it is, also where stderr is no terminal");
    CLI::App* prove_command =
        app.add_subcommand("prove", "Writes a token's proof, which needs no archive (C2SP tlog-proof)");
    prove_command->add_option("SERIAL", verification.serial, "Serial number, hex")->required();
    prove_command->add_option("-o,--out", verification.proof, "Where to write it (default: stdout)");
    CLI::App* check_command = app.add_subcommand("check-proof", "Checks such a proof");
    check_command->add_option("FILE", verification.proof, "The proof")->required();
    check_command->add_option("TOKEN", verification.presented,
                              "A token, or a TimeStampResp, that it must be the proof of");
    add_trust(check_command);
    check_command->add_option("--token", verification.token,
                              "Write the proved token (DER) to this file, which mustn't be there yet");

    ReportArguments reported;
    CLI::App* report_command = app.add_subcommand(
        "report", "Writes what happened in a month: HTML with plots, or JSON (docs/report.md)");
    report_command->add_option("--month", reported.month, "YYYY-MM (UTC)")->required();
    report_command->add_option("-o,--out", reported.out, "File to write (default: stdout)");
    report_command->add_option("--lang", reported.language, "Language of the page: en or ja")
        ->check(CLI::IsMember({"en", "ja"}))
        ->capture_default_str();
    report_command->add_option("--tsu", reported.tsu,
                               "Only tokens, audits and gates of this time-stamping unit");
    report_command->add_option("--trust", reported.trust, "As for verify");
    report_command->add_flag("--no-verify", reported.no_verify, "Leave out the verification of the archive");

    SealArguments sealed;
    CLI::App* evidence_command = app.add_subcommand(
        "evidence", "Writes a token's evidence record, which holds for decades (RFC 4998, docs/seals.md)");
    evidence_command->add_option("SERIAL", sealed.serial, "Serial number, hex");
    evidence_command->add_option("--month", sealed.month, "YYYY-MM: of its last tree head instead");
    evidence_command->add_option("--head", sealed.head, "Write that head to this file")->needs("--month");
    evidence_command->add_option("-o,--out", sealed.out, "Where to write it (default: stdout)");
    CLI::App* check_evidence_command = app.add_subcommand("check-evidence", "Checks such a record");
    check_evidence_command->add_option("FILE", sealed.record, "The record")->required();
    check_evidence_command->add_option("OBJECT", sealed.object, "What it is about: the token, or the head")
        ->required();
    check_evidence_command->add_option("--trust", sealed.trust,
                                       "Whose time-stamps are believed (seal_anchors; TOML, docs/audit.md)");

    ExpireArguments expiry;
    CLI::App* expire_command = app.add_subcommand(
        "expire", "Lists what has passed its time, and removes nothing (docs/retention.md)");
    expire_command->add_option("--at", expiry.at, "As of this date or time (RFC 3339; default: now)");
    CLI::App* imports_command =
        app.add_subcommand("imports", "Lists what was imported, and compares the contents with the records");
    imports_command->add_option("--personal", expiry.personal,
                                "Folder of the contents (default: they aren't looked at)");

    CLI::App* tac_command = app.add_subcommand("tac", "Time audit certificates");
    tac_command->require_subcommand(1);
    CLI::App* tac_show_command =
        tac_command->add_subcommand("show", "Shows a TAC, or the one that a token carries");
    tac_show_command->add_option("FILE", options.tac_file, "TAC, token or TimeStampResp, DER")->required();

    witness::Arguments watching;
    CLI::App* witness_command =
        app.add_subcommand("witness", "Watches a log from elsewhere, and cosigns it (docs/witness.md)");
    witness_command->require_subcommand(1);
    const auto add_key = [&](CLI::App* command) {
        command->add_option("--key", watching.key, "File of the witness's key")->required();
    };
    const auto add_log = [&](CLI::App* command, int most) {
        add_key(command);
        command->add_option("--log", watching.logs, "Key of a log: NAME+ID+KEY")
            ->required()
            ->expected(1, most);
        command->add_option("--state", watching.state, "Folder of what it has seen")->required();
    };
    CLI::App* witness_init =
        witness_command->add_subcommand("init", "Makes a key, and prints its public half");
    add_key(witness_init);
    witness_init->add_option("--name", watching.name, "Names the witness, best a domain: witness.example/w1")
        ->required();
    CLI::App* witness_serve =
        witness_command->add_subcommand("serve", "Cosigns what logs send (C2SP tlog-witness)");
    add_log(witness_serve, 1000);
    witness_serve->add_option("--listen", watching.listen, "HOST:PORT")->required();
    witness_serve->add_flag("--beyond-loopback", watching.beyond_loopback,
                            "Serve other machines (plain HTTP: what is said is signed)");
    CLI::App* witness_visit = witness_command->add_subcommand(
        "visit",
        "Fetches a log's checkpoint, checks that it goes on from the last one seen, cosigns and prints it");
    add_log(witness_visit, 1);
    witness_visit->add_option("--url", watching.url, "Prefix of the log: http://HOST:PORT/repository")
        ->required();

    const auto go_on = read_command_line("tsaudit", app, arguments, out);
    if (!go_on) {
        err << "tsaudit: " << go_on.error().text << '\n';
        return exit_code(go_on.error().kind);
    }
    if (!*go_on) return 0;

    verification.archive = options.archive;
    verification.json = options.json;
    reported.archive = options.archive;
    reported.json = options.json;
    watching.json = options.json;
    sealed.archive = options.archive;
    sealed.json = options.json;
    expiry.archive = options.archive;
    expiry.json = options.json;
    verification.progress = verification.progress || ::isatty(STDERR_FILENO) == 1;
    const Done done = *find_command             ? find(options, out)
                      : *export_command         ? write_out(options, out)
                      : *show_command           ? show(options, out)
                      : *events_command         ? events(options, out)
                      : *report_command         ? write_report(reported, out)
                      : *verify_command         ? verify_archive(verification, out, err)
                      : *prove_command          ? write_proof(verification, out)
                      : *check_command          ? check_proof_file(verification, out)
                      : *expire_command         ? list_expired(expiry, out)
                      : *imports_command        ? list_imports(expiry, out)
                      : *evidence_command       ? write_evidence(sealed, out)
                      : *check_evidence_command ? check_evidence(sealed, out)
                      : *witness_init           ? witness::init(watching, out)
                      : *witness_serve          ? witness::serve(watching)
                      : *witness_visit          ? witness::visit_once(watching, out, err)
                                                : show_tac(options, out);
    out.flush();
    if (!done) {
        err << "tsaudit: " << one_line(done.error().text, any_length) << '\n';
        return exit_code(done.error().kind);
    }
    if (!out.good()) {
        err << "tsaudit: the output can't be written: is its disk full?\n";
        return exit_code(Error::Kind::environment);
    }
    return 0;
}

}  // namespace kokuin::audit
