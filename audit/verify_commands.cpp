#include "audit/verify_commands.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "audit/present.h"
#include "audit/proof.h"
#include "audit/verify.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/text.h"
#include "store/prove.h"
#include "tsa/protocol/token.h"

namespace kokuin::audit {
namespace {

using Json = nlohmann::ordered_json;

/// Lines of one kind that are printed for people; machines get all.
constexpr std::size_t most_lines = 50;

constexpr std::size_t largest_token = 1U << 20U;

Result<std::optional<Trust>> trust_of(const VerifyArguments& arguments) {
    if (arguments.trust.empty()) return std::optional<Trust>();
    auto trust = load_trust(arguments.trust);
    if (!trust) return trust.error();
    return std::optional<Trust>(std::move(*trust));
}

Json or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

std::string counted(std::uint64_t count, const char* one, const char* many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

/// Serial numbers of all tokens that a problem is about.
std::set<std::string> affected(const VerifyReport& report) {
    std::set<std::string> serials;
    for (const Problem& problem : report.problems)
        if (!problem.serial.empty()) serials.insert(problem.serial);
    return serials;
}

Json seals_json(const std::vector<SealedMonth>& seals) {
    Json all = Json::array();
    for (const SealedMonth& one : seals) {
        const bool stamped = one.time_stamps > 0;
        all.push_back({{"month", one.segment},
                       {"time_stamps", one.time_stamps},
                       {"since", stamped ? Json(to_rfc3339(one.since, 0)) : Json(nullptr)},
                       {"until", stamped ? Json(to_rfc3339(one.until, 0)) : Json(nullptr)},
                       {"tsa", or_null(one_line(one.tsa, any_length))},
                       {"gaps", one.gaps}});
    }
    return all;
}

Json custody_json(const std::vector<Custody>& all) {
    Json json = Json::array();
    for (const Custody& one : all)
        json.push_back({{"token", one.token},
                        {"custodians", one.custodians},
                        {"ceremony", one.ceremony},
                        {"generation", one.generation},
                        {"begun", one.begun},
                        {"anew", one.anew}});
    return json;
}

Json alone_json(const std::vector<Alone>& all) {
    Json json = Json::array();
    for (const Alone& one : all)
        json.push_back(
            {{"number", one.number}, {"segment", one.segment}, {"kind", one.kind}, {"since", one.since}});
    return json;
}

void tell_json(const VerifyReport& report, std::ostream& out) {
    Json problems = Json::array();
    for (const Problem& problem : report.problems)
        problems.push_back({{"kind", problem.kind},
                            {"segment", or_null(problem.segment)},
                            {"serial", or_null(problem.serial)},
                            {"number", problem.number ? Json(*problem.number) : Json(nullptr)},
                            {"detail", one_line(problem.detail, any_length)}});
    Json restored = Json::array();
    for (const Restored& one : report.restored)
        restored.push_back({{"at", to_rfc3339(from_unix_us(one.at_us), 6)},
                            {"number", one.number},
                            {"size", one.size},
                            {"witnessed", one.witnessed ? Json(*one.witnessed) : Json(nullptr)},
                            {"lost", one.lost},
                            {"lost_tokens", one.lost_tokens},
                            {"from_origin", one.from_origin},
                            {"origin", one.origin},
                            {"custodians", or_null(one.custodians)},
                            {"why", one.why}});
    out << json_text(Json{
               {"ok", report.ok()},
               {"anchored", report.anchored},
               {"not_anchored_because", or_null(report.not_anchored_because)},
               {"origin", report.origin},
               {"segments", report.segments},
               {"records", report.records},
               {"tokens", report.tokens},
               {"without_tac", report.without_tac},
               {"events", report.events},
               {"lost", report.lost},
               {"checkpoints", report.checkpoints},
               {"covered", report.covered ? Json(*report.covered) : Json(nullptr)},
               {"uncovered", report.uncovered},
               {"restored", restored},
               {"seals", seals_json(report.seals)},
               {"removed",
                {{"records", report.removed.records},
                 {"tokens", report.removed.tokens},
                 {"still_there", report.removed.still_there},
                 {"time_unproved", report.removed.time_unproved},
                 {"last", report.removed.last ? Json(to_rfc3339(*report.removed.last, 6)) : Json(nullptr)}}},
               {"custody", custody_json(report.custody.tokens)},
               {"alone", alone_json(report.custody.alone)},
               {"problems", problems},
               {"more_problems", report.more_problems},
               {"affected", affected(report)}})
        << '\n';
}

std::uint64_t lost_at_restores(const VerifyReport& report) {
    std::uint64_t lost = 0;
    for (const Restored& one : report.restored) lost += one.lost;
    return lost;
}

void tell_text(const VerifyReport& report, std::ostream& out) {
    // What somebody did, before what follows from it: every record since the last checkpoint that fits.
    std::vector<Problem> ordered = report.problems;
    std::stable_partition(ordered.begin(), ordered.end(),
                          [](const Problem& problem) { return problem.kind != "tree" || !problem.number; });
    std::size_t lines = 0;
    for (const Problem& problem : ordered) {
        if (++lines > most_lines) break;
        out << problem.kind << ": ";
        if (!problem.segment.empty()) out << "segment " << problem.segment << ": ";
        if (problem.number) out << "record " << *problem.number << ": ";
        if (!problem.serial.empty()) out << "token " << problem.serial << ": ";
        out << one_line(problem.detail, any_length) << '\n';
    }
    const auto count = report.problems.size() + report.more_problems;
    if (count > most_lines) out << "… and " << count - most_lines << " more (--json shows them)\n";
    out << counted(report.records, "record", "records") << " looked at in "
        << counted(report.segments.size(), "segment", "segments") << ": "
        << counted(report.tokens, "token", "tokens") << ", " << counted(report.events, "event", "events")
        << ", " << counted(report.checkpoints, "checkpoint", "checkpoints") << '\n';
    if (report.without_tac > 0)
        out << counted(report.without_tac, "token was", "tokens were") << " issued without a TAC\n";
    if (report.covered) out << "the newest checkpoint that fits covers " << *report.covered << " records\n";
    if (report.uncovered > 0)
        out << "under no checkpoint yet: the newest " << counted(report.uncovered, "record", "records")
            << ", for which nothing speaks but themselves\n";
    for (const Restored& restored : report.restored) out << text_of(restored) << '\n';
    for (const SealedMonth& one : report.seals) {
        out << one.segment << " is sealed";
        if (one.time_stamps > 0)
            out << "; time-stamped since " << to_rfc3339(one.since, 0) << " by "
                << one_line(one.tsa, any_length) << ", which holds until " << to_rfc3339(one.until, 0);
        for (const std::string& gap : one.gaps) out << "; " << one_line(gap, any_length);
        out << '\n';
    }
    if (report.removed.records > 0)
        out << "of " << counted(report.removed.records, "record", "records") << " ("
            << counted(report.removed.tokens, "token", "tokens")
            << ") only the hashes are left: removed after their time, the last on "
            << to_rfc3339(*report.removed.last, 0)
            << (report.removed.time_unproved ? " by what the operator says: no token has come since" : "")
            << '\n';
    if (report.removed.still_there > 0)
        out << counted(report.removed.still_there, "record is", "records are")
            << " named as removed, and still there\n";
    for (const Alone& one : report.custody.alone)
        out << "record " << one.number << " (" << one_line(one.kind, any_length)
            << "): done by one person alone, though custodians hold a PIN since record " << one.since << '\n';
    for (const Custody& one : report.custody.tokens)
        out << "the PINs of the token " << one_line(one.token) << " are with " << one.custodians
            << ", generation " << one.generation << " of the ceremony of record " << one.begun
            << (one.anew ? ", which those who held them before haven't agreed to\n" : "\n");
    out << "anchored: " << (report.anchored ? "true" : "false");
    if (!report.anchored)
        out << " (" << report.not_anchored_because
            << "): what a copy alone can't show isn't judged: that it is the newest, and whose signatures "
               "these are";
    out << '\n';
    if (report.ok()) {
        const auto lost = lost_at_restores(report);
        out << (report.removed.records > 0
                    ? "whole: nothing was added, changed or moved, and nothing else removed"
                    : "whole: nothing was added, changed, moved or removed")
            << (lost > 0 ? ", but for " + counted(lost, "record that was lost", "records that were lost") +
                               " before a restore"
                         : "")
            << (report.covered && report.uncovered == 0 ? "\n"
                : report.covered
                    ? " among the " + std::to_string(*report.covered) + " records under checkpoints\n"
                    : ", as far as can be told: nobody has signed any of these records, and whoever can "
                      "write the files can have written them anew\n");
    } else {
        out << "NOT WHOLE: " << counted(count, "problem", "problems") << ", "
            << counted(affected(report).size(), "token", "tokens") << " affected";
        if (report.lost > 0)
            out << ", and those among " << counted(report.lost, "record", "records") << " that are missing";
        out << '\n';
    }
}

/// Tells once a second how far it is and how long it will take.
class Meter {
  public:
    explicit Meter(std::ostream& err) : err_(err) {}
    void tell(const Progress& progress) {
        const auto now = Clock::now();
        if (now - told_ < std::chrono::seconds(1) || progress.total == 0) return;
        told_ = now;
        const double elapsed = std::chrono::duration<double>(now - begin_).count();
        const auto left = static_cast<std::uint64_t>(
            elapsed / static_cast<double>(std::max<std::uint64_t>(progress.done, 1)) *
            static_cast<double>(progress.total - std::min(progress.done, progress.total)));
        err_ << "verify: " << progress.segment << ": " << progress.done << " of " << progress.total
             << " records (" << progress.done * 100 / progress.total << " %), " << left / 60 << " min "
             << left % 60 << " s left\n"
             << std::flush;
    }

  private:
    using Clock = std::chrono::steady_clock;
    std::ostream& err_;
    const Clock::time_point begin_ = Clock::now();
    Clock::time_point told_ = begin_;
};

}  // namespace

Done verify_archive(const VerifyArguments& arguments, std::ostream& out, std::ostream& err) {
    if (arguments.archive.empty())
        return Error::usage("--archive is missing: give the folder that holds the archive");
    const auto trust = trust_of(arguments);
    if (!trust) return trust.error();
    VerifyOptions options;
    options.dir = arguments.archive;
    options.trust = *trust ? &**trust : nullptr;
    options.threads = arguments.threads;
    if (!arguments.since.empty()) {
        const auto octets = read_file(arguments.since, 64U << 10U);
        if (!octets) return octets.error();
        auto note = tlog::Note::parse(as_text(*octets));
        if (!note) return std::move(note).error().in(arguments.since);
        options.since = std::move(*note);
    }
    Meter meter(err);
    if (arguments.progress) options.progress = [&meter](const Progress& progress) { meter.tell(progress); };
    const auto report = verify(options);
    if (!report) return report.error();
    if (arguments.json) {
        tell_json(*report, out);
    } else {
        tell_text(*report, out);
    }
    if (!report->ok())
        return Error::no(arguments.archive + ": not whole, see above: keep it, restore a copy");
    if (!arguments.save.empty()) {
        if (report->checkpoint.empty())
            return Error::no(arguments.save + ": not written: no checkpoint fits that is newer");
        return write_file(arguments.save, as_view(report->checkpoint));
    }
    return {};
}

Done write_proof(const VerifyArguments& arguments, std::ostream& out) {
    if (arguments.archive.empty())
        return Error::usage("--archive is missing: give the folder that holds the archive");
    const auto serial =
        from_hex(arguments.serial.size() % 2 == 1 ? "0" + arguments.serial : arguments.serial);
    if (!serial || serial->empty())
        return Error::usage("SERIAL: \"" + arguments.serial +
                            "\" isn't hexadecimal: give digits 0-9 and a-f");
    const auto proof = store::prove(arguments.archive, *serial);
    if (!proof) return proof.error();
    if (!arguments.proof.empty()) return write_file(arguments.proof, as_view(*proof));
    out << *proof;
    return {};
}

Done check_proof_file(const VerifyArguments& arguments, std::ostream& out) {
    const auto trust = trust_of(arguments);
    if (!trust) return trust.error();
    const auto file = read_file(arguments.proof);
    if (!file) return file.error();
    auto report = check_proof(as_text(*file), *trust ? &**trust : nullptr);
    if (!report) return std::move(report).error().in(arguments.proof);
    report->shown.found.segment = "(proof)";
    if (!arguments.token.empty() && ::access(arguments.token.c_str(), F_OK) == 0)
        return Error::usage(
            "--token " + arguments.token +
            ": is there already, and isn't overwritten; a token that the proof is to be compared "
            "with is given behind the proof, without --token");
    if (!arguments.presented.empty()) {
        const auto octets = read_file(arguments.presented, largest_token);
        if (!octets) return octets.error();
        const auto token = tsp::parse_token_or_response(*octets);
        if (!token) return Error(token.error()).in(arguments.presented);
        if (token->der != report->shown.token)
            report->objections.push_back(
                {"token", arguments.presented + " is another token than the one that is proved"});
    }
    // Only one that holds is handed on.
    if (!arguments.token.empty() && report->objections.empty())
        if (auto done = write_file(arguments.token, report->shown.token); !done) return done;
    if (arguments.json) {
        Json json = Json::parse(show_json(report->shown));
        json.erase("segment");
        Json objections = Json::array();
        for (const Objection& one : report->objections)
            objections.push_back({{"kind", one.kind}, {"detail", one_line(one.detail, any_length)}});
        json["ok"] = report->objections.empty();
        json["anchored"] = report->anchored;
        json["origin"] = report->origin;
        json["size"] = report->size;
        json["problems"] = objections;
        out << json_text(json) << '\n';
    } else {
        out << show_text(report->shown);
        for (const Objection& one : report->objections)
            out << one.kind << ": " << one_line(one.detail, any_length) << '\n';
        out << "log          " << report->origin << ", checkpoint over " << report->size << " records\n"
            << "anchored     "
            << (report->anchored ? "true" : "false (no trust file with log_keys and anchors)") << '\n'
            << (!report->objections.empty()    ? "THE PROOF DOESN'T HOLD\n"
                : !arguments.presented.empty() ? "the proof holds, and is of that token\n"
                                               : "the proof holds\n");
    }
    if (!report->objections.empty())
        return Error::no(arguments.proof + ": the proof doesn't hold, see above");
    return {};
}

}  // namespace kokuin::audit
