#include "checkpoint/checkpointer.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace kokuin::checkpoint {
namespace {

constexpr const char* key_kind = "archive.key";
constexpr const char* late_kind = "checkpoint.late";
constexpr const char* back_kind = "checkpoint.back";

/// Number of the last event of this kind; -1: none, or nobody knows.
store::RecordNumber last_of(const store::Archive& archive, const char* kind) {
    const auto found = archive.latest_event(kind, archive.origin());
    return found && *found ? (*found)->number : -1;
}

/// What the archive said of the key last; without fields if nothing.
Result<store::Event> recorded(const store::Archive& archive) {
    const auto found = archive.latest_event(key_kind, archive.origin());
    if (!found) return found.error();
    if (!*found) return store::Event();
    return std::get<store::Event>((*found)->body);
}

}  // namespace

Checkpointer::Checkpointer(CheckpointerParts parts)
    : parts_(std::move(parts)), rest_(parts_.within / 10), since_(parts_.mono.now() - parts_.within) {
    // What a crash, or a key that was away, left uncovered has waited for too long already.
    const auto state = parts_.archive.state();
    any_uncovered_ = static_cast<std::uint64_t>(state.next) > state.covered;
    late_ = last_of(parts_.archive, late_kind) > last_of(parts_.archive, back_kind);
}

void Checkpointer::stop() {
    if (std::exchange(stopped_, true)) return;
    ticker_.stop();
    // Twice, for what the first look may have told.
    look(true);
    look(true);
}

std::optional<std::string> Checkpointer::overdue() const {
    // One look later than `within` ago is too late: it is noticed only then.
    if (!any_uncovered_ || parts_.mono.now() - since_.load() < parts_.within - rest_) return std::nullopt;
    const auto trouble = snapshot().trouble;
    return "records are under no signed checkpoint in time: " +
           (trouble.empty() ? "the archive key hasn't signed yet" : trouble);
}

Checkpointer::Snapshot Checkpointer::snapshot() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
}

void Checkpointer::look(bool at_once) {
    const auto state = parts_.archive.state();
    if (static_cast<std::uint64_t>(state.next) <= state.covered) {
        any_uncovered_ = false;
        return;
    }
    if (!any_uncovered_) {
        since_ = parts_.mono.now();
        any_uncovered_ = true;
    }
    if (!at_once && parts_.mono.now() - since_.load() < parts_.within / 2) return;
    const auto before = parts_.mono.now();
    const Done done = cover();
    {
        const std::lock_guard lock(mutex_);
        snapshot_.trouble = done ? "" : done.error().text;
    }
    if (done) {
        since_ = before;  // what has come since is younger
        const auto now = parts_.archive.state();
        any_uncovered_ = static_cast<std::uint64_t>(now.next) > now.covered;
    }
    if (done && late_) {
        late_ = false;
        tell(back_kind, "all records are under a signed checkpoint again");
    }
    if (!done && !late_ && overdue()) {
        // That custodians are waited for is told elsewhere.
        const auto token = parts_.token();
        if (token && (*token)->locked()) return;
        late_ = true;
        tell(late_kind, parts_.consequence + ": " + *overdue());
    }
}

Result<hsm::Token*> Checkpointer::find_key() {
    auto found = parts_.token();
    if (!found) return Error::environment("hsm: " + found.error().text);
    auto& token = **found;
    if (key_) return &token;
    if (!token.available()) return Error::environment("hsm: " + token.state());
    auto key = token.find_key(parts_.key, hsm::KeyAlgorithm::ed25519);
    if (!key)
        return Error::environment(
            "[archive] key: " + key.error().text +
            (key.error().kind == Error::Kind::no ? "; make one: " + parts_.make_key : ""));
    auto verifier = tlog::VerifierKey::make(parts_.archive.origin(), tlog::VerifierKey::Type::ed25519,
                                            View(key->spki()).last(32));
    if (!verifier) return verifier.error();

    const auto before = recorded(parts_.archive);
    if (!before) return before.error();
    const std::map<std::string, store::FieldValue> now{
        {"key", parts_.key},
        {"token", token.name()},
        {"verifier", verifier->text()},
        // An auditor judges by it what may be under no checkpoint.
        {"covered_within_us", std::chrono::duration_cast<microseconds>(parts_.within).count()}};
    auto told = before->fields;
    told.erase("previous");
    if (told != now) {
        store::Event event;
        event.kind = key_kind;
        event.subject = parts_.archive.origin();
        event.text =
            "checkpoints are signed by the key '" + parts_.key + "' from now on: " + verifier->text();
        event.fields = now;
        if (const auto previous = before->value<std::string>("verifier");
            !previous.empty() && previous != verifier->text())
            event.fields["previous"] = previous;
        if (auto done = parts_.record(event); !done) return std::move(done).error();
        spdlog::info("archive key=\"{}\" verifier=\"{}\"", parts_.key, verifier->text());
    }
    const std::lock_guard lock(mutex_);
    snapshot_.key = std::move(*verifier);
    key_ = std::move(*key);
    return &token;
}

Done Checkpointer::cover() {
    std::unique_lock lock(signing_);
    // Before the head is taken: that the key signs is a record too.
    const auto token = find_key();
    if (!token) return token.error();
    const auto head = parts_.archive.head();
    const auto note = sign_by(**token, head);
    lock.unlock();
    return note ? parts_.archive.add_checkpoint(head, *note) : Done(note.error());
}

Result<tlog::Note> Checkpointer::sign(const tlog::TreeHead& head) {
    const std::lock_guard lock(signing_);
    const auto token = find_key();
    if (!token) return token.error();
    return sign_by(**token, head);
}

/// `signing_` is held.
Result<tlog::Note> Checkpointer::sign_by(hsm::Token& token, const tlog::TreeHead& head) {
    tlog::Note note{tlog::Checkpoint{parts_.archive.origin(), head}.text(), {}};
    const auto verifier = *snapshot().key;
    const auto signature = token.sign_ed25519(*key_, as_view(tlog::signed_text(verifier.type(), note.text)));
    if (!signature) {
        key_.reset();  // perhaps there is another one under this label now
        return signature.error();
    }
    note.signatures.push_back(tlog::signature_line(verifier, *signature));
    if (tlog::check(note, verifier).outcome != tlog::Checked::Outcome::good) {
        key_.reset();  // another one under this label?
        return Error::environment("[archive] key: the HSM's signature doesn't verify under the key '" +
                                  parts_.key + "'");
    }
    return note;
}

void Checkpointer::tell(const char* kind, const std::string& text) {
    store::Event event;
    event.kind = kind;
    event.subject = parts_.archive.origin();
    event.text = text;
    spdlog::log(late_ ? spdlog::level::err : spdlog::level::info, "archive {} text=\"{}\"", kind, text);
    parts_.tell(event);
}

}  // namespace kokuin::checkpoint
