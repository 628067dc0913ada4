// The archive's backups, and its restoring.
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/account.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/text.h"
#include "store/backup.h"
#include "store/restore.h"
#include "tsa/control/commands.h"

namespace kokuin::tsa::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr nanoseconds server_within = seconds(10);
constexpr std::size_t largest_note = 64U << 10U;

std::string counted(std::uint64_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

hsm::custody::Site server_of(const Settings& settings) {
    return site_of(settings, settings.hsms.front());
}

Json in_json(const store::LostRecord& one) {
    Json json{{"number", one.number}, {"serial", one.serial.empty() ? Json() : Json(one.serial)}};
    json["gen_time"] = one.gen_time_us ? Json(to_rfc3339(from_unix_us(*one.gen_time_us))) : Json(nullptr);
    json["tsu"] = one.tsu.empty() ? Json() : Json(one.tsu);
    json["event"] = one.event.empty() ? Json() : Json(one.event);
    return json;
}

Result<store::RestorePlan> plan_of(const Settings& settings, const RestoreOptions& options) {
    store::RestorePlan plan;
    plan.from = options.from;
    plan.to = settings.archive;
    plan.damaged = options.damaged;
    if (options.witnessed.empty() && !options.no_witness)
        return Error::usage(
            "restore needs --witnessed FILE with the newest checkpoint that somebody outside has seen (a "
            "witness keeps it), or --no-witness where nobody ever has");
    if (!options.log_key.empty()) {
        auto key = tlog::VerifierKey::parse(options.log_key);
        if (!key) return std::move(key).error().in("--log-key");
        if (key->type() != tlog::VerifierKey::Type::ed25519)
            return Error::usage("--log-key: the key of '" + key->name() + "' is a witness's, not a log's");
        plan.log_key = std::move(*key);
    }
    if (!options.witnessed.empty()) {
        const auto text = read_file(options.witnessed, largest_note);
        if (!text) return text.error();
        auto note = tlog::Note::parse(as_text(*text));
        if (!note) return std::move(note).error().in(options.witnessed);
        plan.witnessed = std::move(*note);
    }
    return plan;
}

std::string lost_text(const store::Restorable& found) {
    if (found.lost.empty())
        return found.witnessed ? "nothing is lost of what was seen outside"
                               : "nobody can tell whether anything is lost";
    std::string text = counted(found.lost.size(), "record") + " lost, from " +
                       std::to_string(found.lost.front().number) +
                       " on: " + counted(found.lost_tokens, "token");
    if (found.lost_events > 0) text += ", " + counted(found.lost_events, "event");
    if (found.lost_unknown > 0) text += ", " + std::to_string(found.lost_unknown) + " nobody can read";
    return text;
}

void print_lost(const store::Restorable& found, std::ostream& out) {
    out << lost_text(found) << '\n';
    for (const auto& trouble : found.troubles)
        out << "what is left: " << one_line(trouble, any_length) << '\n';
    for (const auto& one : found.lost) {
        out << "lost: record " << one.number;
        if (!one.event.empty()) out << ", event " << one_line(one.event, any_length);
        if (!one.serial.empty()) out << ", token " << one.serial;
        if (one.gen_time_us) out << " of " << to_rfc3339(from_unix_us(*one.gen_time_us));
        if (!one.tsu.empty()) out << " by " << one_line(one.tsu, any_length);
        if (one.serial.empty() && one.event.empty()) out << ", of which nothing is left to be read";
        out << '\n';
    }
}

/// What custodians see and sign.
std::string content_of(const store::Restorable& found, const RestoreOptions& options,
                       const std::string& place) {
    return "restore the archive " + found.archive + " into " + place + " from " + options.from + ": " +
           counted(found.head.size, "record") + ", root " + to_hex(found.head.root) + "; witnessed: " +
           (found.witnessed
                ? counted(found.witnessed->size, "record") + ", root " + to_hex(found.witnessed->root)
                : std::string("none")) +
           "; " + lost_text(found) + "; why: " + options.why;
}

}  // namespace

Result<int> archive_backup(const Settings& settings, const std::string& dir, bool as_json,
                           std::ostream& out) {
    const auto made = store::backup(settings.archive, dir);
    if (!made) return made.error();
    Json json{{"dir", dir},
              {"records", made->records},
              {"new", made->records - made->before},
              {"segments", made->segments},
              {"checkpoint", made->checkpoint ? Json(made->checkpoint->size) : Json(nullptr)},
              {"removed", made->removed},
              {"not_removed", made->not_removed.empty() ? Json(nullptr) : Json(made->not_removed)},
              {"same_disk", made->same_disk}};
    // Whether the server could note it down or not, the backup is made.
    const auto told = hsm::custody::ask_server(server_of(settings), "POST", "/archive/backed-up",
                                               json_text(json), server_within);
    json["recorded"] = told.ok();
    if (as_json) {
        out << json_text(json) << '\n';
        return 0;
    }
    out << dir << " holds " << counted(static_cast<std::uint64_t>(made->records), "record") << " in "
        << counted(made->segments.size(), "segment") << " up to " << made->segments.back() << ", "
        << made->records - made->before << " of them new\n"
        << (made->checkpoint ? "its newest checkpoint is over " + counted(made->checkpoint->size, "record")
                             : "no checkpoint is among them")
        << '\n';
    if (made->removed > 0)
        out << counted(static_cast<std::uint64_t>(made->removed), "record")
            << " that it had were removed: they had passed their time (archive.expired)\n";
    if (!made->not_removed.empty())
        out << "WARNING: what the archive has removed isn't all removed here: "
            << one_line(made->not_removed, any_length) << '\n';
    if (made->same_disk) out << "WARNING: it is on the file system of the archive: one disk takes both\n";
    if (!told)
        out << "note: no event says so in the archive: " << one_line(told.error().text, any_length) << '\n';
    return 0;
}

Result<int> archive_restore(const Settings& settings, const RestoreOptions& options, bool as_json,
                            std::ostream& out) {
    if (auto done = check_why_and_by(options.why, options.by); !done) return std::move(done).error();
    const auto plan = plan_of(settings, options);
    if (!plan) return plan.error();
    const auto hsm = choose_hsm(settings, options.hsm);
    if (!hsm) return hsm.error();
    if (hsm::custody::ask_server(server_of(settings), "GET", "/status", "", server_within))
        return Error::usage("tsad runs (it answers on " + settings.control +
                            "): stop it first, nothing may write the archive now");
    auto restore = store::Restore::begin(*plan);
    if (!restore) return std::move(restore).error();
    const auto& found = (*restore)->found();
    // With --json stdout is a program's; custodians see what they sign all the same.
    auto& people = as_json ? std::cerr : out;
    people << plan->from << " holds " << counted(found.head.size, "record")
           << ", and they are those that were signed\n";
    print_lost(found, people);
    const auto now = SystemWallClock().now();
    people << "By this machine's clock it is " << to_rfc3339(now, 0) << std::endl;

    std::vector<store::Restore::Told> acts;
    const auto place = settings.archive;
    auto session = hsm::custody::Session::open(
        {**hsm, "tsactl", (*restore)->dir(), settings.digest,
         one_line(content_of(found, options, place), 4000),
         [&acts](const store::Event& event, const std::vector<store::Blob>& blobs) {
             acts.push_back({event, blobs});
             return Done();
         }},
        options.session, people);
    if (!session) return std::move(session).error();
    const auto custodians = (*session)->custodians();
    if (auto done = (*session)->close(); !done) return std::move(done).error();

    store::Event event;
    event.text = one_line("the archive was restored from " + plan->from + " with " +
                              counted(found.head.size, "record") + "; " + lost_text(found) +
                              "; its log goes on as another one",
                          4000);
    event.fields = {{"copy", plan->from},
                    {"custodians", custodians},
                    {"why", options.why},
                    {"by", options.by},
                    {"account", account_text(::geteuid())}};
    const auto origin = (*restore)->finish(now, std::move(event), acts);
    if (!origin) return origin.error();
    if (as_json) {
        Json lost = Json::array();
        for (const auto& one : found.lost) lost.push_back(in_json(one));
        out << json_text(Json{{"restored", place},
                              {"from", plan->from},
                              {"records", found.head.size},
                              {"root", to_hex(found.head.root)},
                              {"witnessed", found.witnessed ? Json(found.witnessed->size) : Json(nullptr)},
                              {"from_origin", found.from_origin},
                              {"origin", *origin},
                              {"custodians", custodians},
                              {"lost", lost},
                              {"troubles", found.troubles}})
            << '\n';
        return 0;
    }
    out << "restored " << place << "; its log is " << *origin
        << " from now on: tell witnesses and auditors its key when tsad has signed (docs/copies.md)\n";
    return 0;
}

}  // namespace kokuin::tsa::control
