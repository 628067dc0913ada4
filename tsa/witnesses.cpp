#include "tsa/witnesses.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "store/reader.h"
#include "store/tlog/add_checkpoint.h"
#include "store/tree_reader.h"

namespace kokuin::tsa {
namespace {

constexpr std::size_t largest_answer = 64U << 10U;
constexpr const char* key_kind = "witness.key";
constexpr const char* away_kind = "witness.away";
constexpr const char* back_kind = "witness.back";
constexpr const char* conflict_kind = "witness.conflict";
/// Submissions in one round: the first tells where the witness stands, the second goes on from there.
constexpr int attempts = 2;

/// As a witness says it: whatever it says.
WallTime at_second(std::uint64_t time) {
    constexpr std::uint64_t most = 9'000'000'000;  // in the year 2255
    return WallTime(seconds(static_cast<std::int64_t>(std::min(time, most))));
}

std::string http(const net::Response& answer) {
    return "HTTP " + std::to_string(answer.status) + " (" + one_line(as_text(answer.body)) + ")";
}

/// What the archive says of a witness's key, as VerifierKey::text(); empty if nothing.
Result<std::string> recorded_key(const store::Archive& archive, const std::string& witness) {
    const auto found = archive.latest_event(key_kind, witness);
    if (!found) return found.error();
    if (!*found) return std::string();
    return std::get<store::Event>((*found)->body).value<std::string>("verifier");
}

}  // namespace

Submit submit_over_http(nanoseconds timeout) {
    return [timeout](const net::Url& url, const net::Call& call) {
        return net::request_once(url, call, largest_answer, timeout);
    };
}

Witnesses::Witnesses(WitnessesParts parts) : parts_(std::move(parts)) {
    for (const auto& settings : parts_.witnesses) {
        Witness witness{settings};
        witness.seen.name = settings.key.name();
        witness.seen.state = "new";
        witnesses_.push_back(std::move(witness));
    }
}

void Witnesses::stop() {
    stopping_ = true;
    ticker_.stop();
}

std::vector<Witnesses::Seen> Witnesses::snapshot() const {
    const std::lock_guard lock(mutex_);
    std::vector<Seen> all;
    for (const auto& witness : witnesses_) all.push_back(witness.seen);
    return all;
}

void Witnesses::tick() {
    const auto note = tlog::Note::parse(parts_.archive.checkpoint());
    const auto checkpoint =
        note ? tlog::Checkpoint::parse(note->text) : Result<tlog::Checkpoint>(note.error());
    // All witnesses get the same one, so that their lines stand under one checkpoint.
    for (Witness& witness : witnesses_) {
        if (stopping_) return;
        if (!witness.restored) {
            if (const auto done = restore(witness); !done) {
                spdlog::warn("witness name=\"{}\": {}", witness.seen.name, done.error().text);
                continue;
            }
            witness.restored = true;
        }
        if (!checkpoint || (witness.size >= checkpoint->head.size && !witness.conflict && !witness.away))
            continue;
        settle(witness, submit(witness, *checkpoint, *note));
    }
}

/// What is known from before the start.
Done Witnesses::restore(Witness& witness) const {
    const auto reader = store::ArchiveReader::open(parts_.dir);
    if (!reader) return reader.error();
    const auto newest = (*reader)->latest_witnessed(witness.seen.name);
    if (!newest) return newest.error();
    // A log that began with a restored archive is another one to it.
    const auto& origin = parts_.archive.origin();
    if (*newest && (*newest)->note.starts_with(origin + "\n")) {
        witness.size = (*newest)->size;
        if (const auto note = tlog::Note::parse((*newest)->note)) {
            const auto checked = tlog::check(*note, witness.settings.key);
            const std::lock_guard lock(mutex_);
            witness.seen.state = "cosigned";
            witness.seen.size = witness.size;
            if (checked.outcome == tlog::Checked::Outcome::good) witness.seen.at = at_second(checked.time);
        }
    }
    const auto restored = (*reader)->latest_event("archive.restored", origin);
    if (!restored) return restored.error();
    store::RecordNumber last = *restored ? (*restored)->record.number : -1;
    std::string told;
    for (const char* kind : {away_kind, back_kind, conflict_kind}) {
        const auto found = (*reader)->latest_event(kind, witness.seen.name);
        if (!found) return found.error();
        if (!*found || (*found)->record.number < last) continue;
        last = (*found)->record.number;
        told = kind;
    }
    witness.away = told == away_kind;
    witness.conflict = told == conflict_kind;
    if (witness.away || witness.conflict) {
        const std::lock_guard lock(mutex_);
        witness.seen.state = witness.conflict ? "conflict" : "away";
    }
    return record_key(witness);
}

/// Before anything that it signs is kept: a verifier finds the key then.
Done Witnesses::record_key(const Witness& witness) const {
    const auto& key = witness.settings.key;
    const auto before = recorded_key(parts_.archive, key.name());
    if (!before) return before.error();
    if (*before == key.text()) return {};
    store::Event event;
    event.kind = key_kind;
    event.subject = key.name();
    event.text = "the witness '" + key.name() + "' cosigns checkpoints with this key: " + key.text();
    event.fields = {{"witness", witness.settings.name}, {"verifier", key.text()}, {"previous", *before}};
    return parts_.journal.write(event);
}

std::optional<Witnesses::Refusal> Witnesses::submit(Witness& witness, const tlog::Checkpoint& checkpoint,
                                                    const tlog::Note& note) {
    for (int attempt = 0;; ++attempt) {
        tlog::AddCheckpoint request{std::min(witness.size, checkpoint.head.size), {}, note};
        const auto tree = store::TreeReader::open(parts_.dir);
        auto proof = tree ? (*tree)->consistency_proof(request.old_size, checkpoint.head.size)
                          : Result<std::vector<tlog::Hash>>(tree.error());
        if (!proof) return Refusal{false, "no proof can be made: " + proof.error().text};
        request.proof = std::move(*proof);
        net::Call call;
        call.method = "POST";
        call.path = witness.settings.url.path + "add-checkpoint";
        call.content_type = "text/plain; charset=utf-8";
        const std::string body = request.write();
        call.body.assign(body.begin(), body.end());
        const auto answer = parts_.submit(witness.settings.url, call);
        if (!answer) return Refusal{false, answer.error().text};

        if (answer->status == 200) return take(witness, checkpoint, note, *answer);
        if (answer->status == 422)
            return Refusal{true, "it refuses the proof that the " + std::to_string(checkpoint.head.size) +
                                     " records here go on from the " + std::to_string(request.old_size) +
                                     " that it has cosigned"};
        if (answer->status != 409) return Refusal{false, http(*answer)};

        const auto size = tlog::parse_size(as_text(answer->body));
        if (!size || answer->content_type != tlog::size_type) return Refusal{false, http(*answer)};
        if (*size == request.old_size && *size == checkpoint.head.size)
            return Refusal{true, "it has cosigned another root over " + std::to_string(*size) + " records"};
        if (*size == request.old_size) return Refusal{false, http(*answer)};
        if (*size > checkpoint.head.size) {
            // Somebody may have shown it a newer checkpoint of ours meanwhile.
            const bool ours = *size <= parts_.archive.state().covered;
            if (ours) witness.size = *size;
            return Refusal{!ours, "it has cosigned " + std::to_string(*size) +
                                      " records of this log; here are " +
                                      std::to_string(checkpoint.head.size)};
        }
        if (attempt + 1 == attempts)
            return Refusal{false, "what it has cosigned last changes from one answer to the next"};
        witness.size = *size;
    }
}

std::optional<Witnesses::Refusal> Witnesses::take(Witness& witness, const tlog::Checkpoint& checkpoint,
                                                  const tlog::Note& note, const net::Response& answer) {
    const auto& key = witness.settings.key;
    const auto lines = tlog::parse_signature_lines(as_text(answer.body));
    if (!lines) return Refusal{false, "its answer: " + lines.error().text};
    // Lines of other keys are ignored.
    const auto line = std::find_if(lines->begin(), lines->end(), [&key](const tlog::NoteSignature& one) {
        return one.name == key.name() && one.id == key.id();
    });
    if (line == lines->end())
        return Refusal{false, "its answer has no cosignature by the key that is configured for it"};
    const auto checked = tlog::check({note.text, {*line}}, key);
    if (checked.outcome != tlog::Checked::Outcome::good)
        return Refusal{false, "its cosignature doesn't verify under the key that is configured for it"};
    witness.size = checkpoint.head.size;
    const auto kept = parts_.archive.add_cosignature(checkpoint.head.size, *line);
    // A month has begun since, or the disk is full: the next one is kept again.
    if (!kept) spdlog::warn("witness name=\"{}\" text=\"{}\"", key.name(), kept.error().text);
    const std::lock_guard lock(mutex_);
    witness.seen.size = checkpoint.head.size;
    witness.seen.at = at_second(checked.time);
    return std::nullopt;
}

void Witnesses::settle(Witness& witness, const std::optional<Refusal>& refusal) {
    const bool was_away = witness.away;
    const bool was_conflict = witness.conflict;
    // That it knows another history stays true while it can't be reached.
    witness.conflict = refusal && (refusal->conflict || witness.conflict);
    witness.away = refusal && !refusal->conflict;
    {
        const std::lock_guard lock(mutex_);
        witness.seen.state = witness.conflict ? "conflict" : witness.away ? "away" : "cosigned";
        if (!refusal || refusal->conflict || !witness.conflict)
            witness.seen.trouble = refusal ? refusal->text : "";
    }
    if (refusal && refusal->conflict && !was_conflict)
        tell(witness, conflict_kind,
             "HISTORY DIFFERS: " + refusal->text +
                 ": was an older copy of the archive put in its place? Stamping goes on");
    else if (witness.away && !was_away && !witness.conflict)
        tell(witness, away_kind, "gives no cosignature: " + refusal->text + "; stamping goes on without");
    else if (!refusal && (was_away || was_conflict))
        tell(witness, back_kind, "cosigns again");
}

void Witnesses::tell(const Witness& witness, const char* kind, const std::string& text) const {
    store::Event event;
    event.kind = kind;
    event.subject = witness.seen.name;
    event.text = "the witness '" + witness.seen.name + "' " + text;
    event.fields = {{"witness", witness.settings.name}, {"size", static_cast<std::int64_t>(witness.size)}};
    spdlog::log(kind == std::string_view(back_kind) ? spdlog::level::info : spdlog::level::err,
                "archive {} text=\"{}\"", kind, event.text);
    (void)parts_.journal.keep(std::move(event));
}

}  // namespace kokuin::tsa
