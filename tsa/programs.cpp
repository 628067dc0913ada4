#include "tsa/programs.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "pki/hash.h"

namespace kokuin::tsa {
namespace {

constexpr const char* subject = "tsad";
constexpr const char* running = "programs.running";
constexpr const char* accepted = "programs.accepted";
constexpr const char* changed = "programs.changed";
constexpr const char* altered = "programs.memory";
constexpr const char* traced = "programs.traced";
constexpr const char* unknown = "";  // of memory whose file was gone before anybody could compare them

std::string sha256(View content) {
    return to_hex(pki::digest(pki::Hash::sha256, content));
}

/// The same memory again: where it is and what was mapped there.
std::string place_of(const Mapping& mapping) {
    return std::to_string(mapping.begin) + '-' + std::to_string(mapping.end) + '@' +
           std::to_string(mapping.offset) + ' ' + mapping.path;
}

/// What memory that was mapped from a file must hold: zeros after the file's end.
Bytes part_of(View file, const Mapping& mapping) {
    Bytes out(mapping.end - mapping.begin);
    if (mapping.offset >= file.size()) return out;
    const auto part = file.subspan(mapping.offset);
    std::memcpy(out.data(), part.data(), std::min(part.size(), out.size()));
    return out;
}

/// "A; B; C and 4 more".
std::string enumerate(const std::vector<std::string>& texts) {
    constexpr std::size_t most = 10;
    std::string out;
    for (std::size_t i = 0; i < texts.size() && i < most; ++i) out += (i == 0 ? "" : "; ") + texts[i];
    if (texts.size() > most) out += " and " + std::to_string(texts.size() - most) + " more";
    return out;
}

std::string text_of(const std::vector<ProgramChange>& all) {
    std::vector<std::string> texts;
    texts.reserve(all.size());
    for (const auto& one : all) texts.push_back(one.path + ": " + std::string(name(one.kind)));
    return enumerate(texts);
}

void put_list(store::Event& event, std::vector<store::Blob>& blobs, const ProgramList& list) {
    event.fields["list"] = digest_of(list);
    event.fields["files"] = static_cast<std::int64_t>(list.size());
    const auto text = to_text(list);
    blobs.emplace_back(Bytes(text.begin(), text.end()));
    event.blobs.push_back(blobs.back().id());
}

}  // namespace

/// What one look has read.
struct Programs::Seen {
    MonoTime begun{};
    std::vector<Mapping> mappings;
    ProgramList files;                           // every one of files_ and joined_, and what is mapped
    std::map<std::string, std::string> reads;    // why one can't be read
    std::map<std::string, std::string> expects;  // what the file has for a mapping, by its place
};

Programs::Programs(ProgramsParts parts)
    : parts_(std::move(parts)),
      files_(parts_.files.begin(), parts_.files.end()),
      looked_(parts_.mono.now()) {}

Programs::Seen Programs::read() {
    Seen seen;
    seen.begun = parts_.mono.now();
    const auto maps = read_file(parts_.process + "/maps");
    if (maps)
        seen.mappings = executable_mappings(as_text(*maps));
    else
        seen.reads[parts_.process + "/maps"] = maps.error().text;
    // A file that was moved away is the one that it was; what lies at its place now is looked at as ever.
    std::map<std::string, std::string> names;
    for (auto& mapping : seen.mappings) {
        if (mapping.path.empty()) continue;
        // Where it lies counts too: a number of an inode is unique in one file system, and that of a device
        // may stand for several.
        const auto which = std::to_string(mapping.begin) + ' ' + mapping.file;
        const auto known = names_.find(which);
        const auto& first = known == names_.end() ? mapping.path : known->second;
        names[which] = first;
        if (first == mapping.path) continue;
        mapping.path = first;
        mapping.deleted = true;
    }
    names_ = std::move(names);
    auto paths = files_;
    for (const auto& [path, digest] : joined_) paths.insert(path);
    for (const auto& mapping : seen.mappings)
        if (!mapping.path.empty()) paths.insert(mapping.path);
    for (const auto& path : paths) {
        const auto content = read_program_file(path);
        if (!content) {
            seen.reads[path] = content.error().text;
            continue;
        }
        seen.files[path] = sha256(*content);
        for (const auto& mapping : seen.mappings)
            if (mapping.path == path && pages_.count(place_of(mapping)) == 0)
                seen.expects[place_of(mapping)] = sha256(part_of(*content, mapping));
    }
    return seen;
}

void Programs::check_files(const Seen& seen, Troubles& troubles) const {
    const auto add = [&troubles](const std::string& path, const std::string& text) {
        troubles["file " + path] = {changed, path + ": " + text};
    };
    if (const auto maps = seen.reads.find(parts_.process + "/maps"); maps != seen.reads.end())
        troubles["maps"] = {changed, maps->second};
    for (const auto& one : changes(counts_, started_))
        add(one.path, std::string(name(one.kind)) + " at the start");
    std::set<std::string> replaced;
    for (const auto& mapping : seen.mappings)
        if (mapping.deleted) replaced.insert(mapping.path);
    auto due = started_;
    due.insert(joined_.begin(), joined_.end());
    auto now = now_;
    for (const auto& [path, digest] : joined_)
        if (const auto at = seen.files.find(path); at != seen.files.end()) now[path] = at->second;
    for (const auto& one : changes(due, now)) {
        auto text = std::string(name(one.kind));
        if (const auto why = seen.reads.find(one.path); why != seen.reads.end())
            text += " (" + why->second + ")";
        if (replaced.count(one.path) > 0)
            text += " (replaced while this process runs what was there before; an upgrade?)";
        add(one.path, text);
    }
}

void Programs::check_pages(const Seen& seen, Troubles& troubles) {
    std::map<std::string, std::string> pages;
    for (const auto& mapping : seen.mappings) {
        if (mapping.path.empty() || mapping.writable || !mapping.readable) continue;
        const auto place = place_of(mapping);
        // The first time by its file, later by what was expected then: the file may have been replaced.
        const auto known = pages_.find(place);
        const auto expected = seen.expects.find(place);
        const auto& must = pages[place] = known != pages_.end()            ? known->second
                                          : mapping.deleted                ? unknown
                                          : expected != seen.expects.end() ? expected->second
                                                                           : unknown;
        const auto memory = own_memory(mapping.begin, mapping.end);
        if (!memory && memory.error().kind == Error::Kind::no && known == pages_.end()) {
            pages.erase(place);  // unmapped meanwhile
            continue;
        }
        if (memory && sha256(*memory) == must) continue;
        troubles["memory " + mapping.path] = {
            altered,
            mapping.path + ": the code in memory " +
                (!memory           ? "can't be read: " + memory.error().text
                 : must == unknown ? "can't be compared with its file, which was replaced before this "
                                     "process began to look; restart it"
                                   : "isn't what its file had when it was loaded")};
    }
    pages_ = std::move(pages);
}

void Programs::check_tracers(Troubles& troubles) const {
    // A tracer has threads, not processes; one of them may be enough for it.
    std::error_code problem;
    std::filesystem::directory_iterator threads(parts_.process + "/task", problem);
    for (; !problem && threads != std::filesystem::directory_iterator(); threads.increment(problem)) {
        const auto status = read_file(threads->path().string() + "/status");
        if (!status) continue;  // it has ended
        const auto tracer = tracer_of(as_text(*status));
        if (!tracer) continue;
        const auto pid = std::to_string(*tracer);
        const auto comm = read_file("/proc/" + pid + "/comm");
        troubles["tracer " + pid] = {traced, "the process " + pid +
                                                 (comm ? " (" + one_line(as_text(*comm), 64) + ")" : "") +
                                                 " traces this one: it can read and change all of it"};
    }
    if (problem) troubles["tracer"] = {traced, parts_.process + "/task: can't be read: " + problem.message()};
}

void Programs::welcome(const Seen& seen) {
    ProgramList files;  // with a digest
    std::vector<std::string> texts;
    std::set<std::uintptr_t> bare;
    for (const auto& mapping : seen.mappings) {
        const auto& path = mapping.path;
        if (path.empty()) {
            bare.insert(mapping.begin);
            if (bare_.count(mapping.begin) == 0)
                texts.push_back(std::to_string(mapping.end - mapping.begin) + " octets that no file has");
        } else if (files_.count(path) == 0 && joined_.count(path) == 0) {
            const auto digest = seen.files.find(path);
            joined_[path] = digest == seen.files.end() ? unknown : digest->second;
            if (digest != seen.files.end()) files.insert(*digest);
            texts.push_back(path);
        }
    }
    bare_ = std::move(bare);
    if (!texts.empty())
        note("programs.joined", "code that wasn't there at the start was loaded: " + enumerate(texts),
             &files);
}

void Programs::look() {
    const std::lock_guard turn(turn_);
    judge(read());
}

void Programs::tick() {
    // Not again at once what the start, or an operator, has just looked at.
    if (parts_.mono.now() - looked_.load() >= parts_.settings.check_every / 2) look();
}

void Programs::take(const Seen& seen) {
    now_.clear();
    reads_.clear();
    for (const auto& path : files_) {
        if (const auto at = seen.files.find(path); at != seen.files.end()) now_[path] = at->second;
        if (const auto why = seen.reads.find(path); why != seen.reads.end()) reads_[path] = why->second;
    }
}

void Programs::judge(const Seen& seen) {
    welcome(seen);
    take(seen);
    Troubles troubles;
    check_files(seen, troubles);
    check_pages(seen, troubles);
    check_tracers(troubles);
    {
        const std::lock_guard lock(mutex_);
        snapshot_ = {counts_, now_, reads_, joined_, {}, parts_.journal.now(), {}, parts_.settings.stop};
        snapshot_.took = parts_.mono.now() - seen.begun;
        for (const auto& [key, trouble] : troubles) snapshot_.troubles.push_back(trouble.text);
    }
    troubled_ = !troubles.empty();
    looked_ = parts_.mono.now();
    tell(troubles);
    troubles_ = std::move(troubles);
}

void Programs::tell(const Troubles& troubles) {
    for (const auto* kind : {changed, altered, traced}) {
        std::vector<std::string> texts;
        for (const auto& [key, trouble] : troubles)
            if (trouble.kind == kind && troubles_.count(key) == 0) texts.push_back(trouble.text);
        if (!texts.empty())
            note(
                kind,
                enumerate(texts) + (parts_.settings.stop ? "; nothing is stamped until that is settled" : ""),
                kind == changed ? &now_ : nullptr, {{"stops", std::int64_t{parts_.settings.stop ? 1 : 0}}});
    }
    std::vector<std::string> ended;
    for (const auto& [key, trouble] : troubles_)
        if (troubles.count(key) == 0) ended.push_back(trouble.text);
    if (!ended.empty())
        note("programs.settled",
             "no more: " + enumerate(ended) +
                 (troubles.empty() ? "; the programs are whole" : "; there is more, though"),
             nullptr, {{"left", static_cast<std::int64_t>(troubles.size())}});
}

void Programs::say(const store::Event& event) {
    const bool good = event.kind == running || event.kind == "programs.settled";
    spdlog::log(good                              ? spdlog::level::info
                : event.kind == "programs.joined" ? spdlog::level::warn
                                                  : spdlog::level::err,
                "{} text=\"{}\"", event.kind, event.text);
}

void Programs::start() {
    {
        const std::lock_guard turn(turn_);
        serves_ = true;
        for (const auto& event : unsaid_) say(event);
        unsaid_.clear();
    }
    ticker_.start();
}

void Programs::note(const char* kind, const std::string& text, const ProgramList* list,
                    std::map<std::string, store::FieldValue> fields) {
    store::Event event;
    event.fields = std::move(fields);
    event.kind = kind;
    event.subject = subject;
    event.text = text;
    std::vector<store::Blob> blobs;
    if (list) put_list(event, blobs, *list);
    if (serves_)
        say(event);
    else
        unsaid_.push_back(event);
    (void)parts_.journal.keep(std::move(event), std::move(blobs));
}

Result<std::optional<ProgramList>> Programs::recorded() const {
    std::optional<store::Record> last;
    for (const auto* kind : {running, accepted}) {
        auto found = parts_.archive.latest_event(kind, subject);
        if (!found) return found.error();
        if (*found && (!last || last->number < (*found)->number)) last = std::move(**found);
    }
    if (!last) return std::optional<ProgramList>();
    const auto& blobs = std::get<store::Event>(last->body).blobs;
    const auto content = blobs.empty() ? Result<Bytes>(Bytes()) : parts_.archive.blob(blobs.front());
    if (!content) return content.error();
    auto list = program_list(as_text(*content));
    if (!list)
        return Error::environment("record " + std::to_string(last->number) +
                                  ": its list of programs isn't one; look with: tsaudit verify");
    return list;
}

Done Programs::begin() {
    const std::lock_guard turn(turn_);
    auto before = recorded();
    if (!before) return before.error();
    const auto seen = read();
    if (const auto maps = seen.reads.find(parts_.process + "/maps"); maps != seen.reads.end())
        return Error::environment(maps->second);
    // What is mapped now belongs to it.
    for (const auto& mapping : seen.mappings) {
        if (mapping.path.empty())
            bare_.insert(mapping.begin);
        else
            files_.insert(mapping.path);
    }
    take(seen);
    started_ = now_;
    // That its file was another one for a moment must not stay unseen.
    if (!parts_.configuration.empty()) started_[parts_.configuration] = parts_.digest;
    const auto new_ones = *before ? changes(**before, started_) : std::vector<ProgramChange>();
    counts_ = *before && parts_.settings.stop ? **before : started_;
    if (!new_ones.empty() && !parts_.settings.stop)
        note(changed, "since the last start: " + text_of(new_ones), &started_);
    if (!*before || (!new_ones.empty() && !parts_.settings.stop))
        note(running, std::to_string(started_.size()) + " files make up this tsad and say what it does",
             &started_);
    judge(seen);
    return {};
}

std::optional<std::string> Programs::obstacle() const {
    if (!parts_.settings.stop) return std::nullopt;
    if (troubled_) {
        const auto seen = snapshot();
        return "programs: " + enumerate(seen.troubles) + "; see: tsactl programs list";
    }
    // A file that isn't answered for (a dead disk, a dead server) must not be a way round.
    if (parts_.mono.now() - looked_.load() > 2 * parts_.settings.check_every + std::chrono::minutes(2))
        return "programs: nobody has looked at them for too long; a file that isn't answered for?";
    return std::nullopt;
}

Programs::Snapshot Programs::snapshot() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
}

bool Programs::nothing_to_accept() const {
    return std::none_of(troubles_.begin(), troubles_.end(),
                        [](const auto& one) { return one.second.kind == changed; });
}

Done Programs::acceptable(const std::string& digest) {
    const std::lock_guard turn(turn_);
    judge(read());
    if (nothing_to_accept())
        return Error::no("the programs' files are those that count already; there is nothing to accept");
    if (digest_of(now_) != digest)
        return Error::no(
            "the programs' files are others now than when that was asked for; look at them (tsactl "
            "programs list), and ask again");
    return {};
}

Done Programs::accept(const std::string& digest, const ProgramsAccepted& by) {
    if (auto done = acceptable(digest); !done) return done;
    const std::lock_guard turn(turn_);
    // Between the two somebody else may have looked.
    if (digest_of(now_) != digest) return Error::no("the programs' files have changed just now; ask again");
    store::Event event;
    event.kind = accepted;
    event.subject = subject;
    const auto others = changes(counts_, now_);
    event.text = others.empty() ? "what was loaded later counts as it is from now on"
                                : "these files count as they are from now on: " + text_of(others);
    event.fields = {{"why", by.why}, {"by", by.by}, {"account", by.account}};
    if (!by.agreed_in.empty()) {
        event.fields["agreed_in"] = by.agreed_in;
        event.fields["custodians"] = by.custodians;
    }
    std::vector<store::Blob> blobs;
    put_list(event, blobs, now_);
    if (auto done = parts_.journal.write(event, blobs); !done) return done;
    counts_ = started_ = now_;
    for (auto& [path, of] : joined_)
        if (const auto content = read_program_file(path)) of = sha256(*content);
    judge(read());
    return {};
}

}  // namespace kokuin::tsa
