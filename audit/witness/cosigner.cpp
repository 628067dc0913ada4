#include "audit/witness/cosigner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "store/tlog/add_checkpoint.h"
#include "store/tlog/merkle.h"

namespace kokuin::audit::witness {
namespace {

Answer text(int status, const std::string& why) {
    return {status, "text/plain; charset=utf-8", why + "\n"};
}

Answer conflict(std::uint64_t size) {
    return {409, tlog::size_type, std::to_string(size) + "\n"};
}

std::string shown(const tlog::TreeHead& head) {
    return std::to_string(head.size) + " records (root " + to_base64(head.root) + ")";
}

/// What a witness that has seen nothing has seen: the empty tree.
tlog::TreeHead head_of(const std::optional<Seen>& last) {
    return last ? last->checkpoint.head : tlog::Growing().head();
}

}  // namespace

Done Cosigner::judge(const tlog::Checkpoint& checkpoint, const tlog::Note& note) const {
    bool known = false;
    bool good = false;
    for (const auto& log : logs_) {
        if (log.name() != checkpoint.origin) continue;
        known = true;
        const auto outcome = tlog::check(note, log).outcome;
        if (outcome == tlog::Checked::Outcome::wrong)
            return Error::no("the signature under the checkpoint by the key " + log.text() + " is wrong");
        good = good || outcome == tlog::Checked::Outcome::good;
    }
    if (!known) return Error::usage("this witness doesn't follow the log " + checkpoint.origin);
    if (!good)
        return Error::no("no key of the log " + checkpoint.origin + " that is known here has signed it");
    return {};
}

Result<tlog::Note> Cosigner::cosign(const tlog::Checkpoint& checkpoint, const tlog::Note& note,
                                    const Prove& prove) {
    const std::lock_guard lock(mutex_);
    const auto last = state_.load(checkpoint.origin);
    if (!last) return last.error();
    if (*last && !is_kept(**last))
        return Error::environment(
            state_.path(checkpoint.origin) +
            ": isn't what was kept of this log: neither its signature nor this witness's fits; "
            "restore it from a copy");
    if (auto done = prove(*last); !done) return done.error();
    // Signatures of others are none of its business.
    tlog::Note cosigned{note.text, {}};
    for (const auto& line : note.signatures)
        if (std::any_of(logs_.begin(), logs_.end(), [&](const tlog::VerifierKey& log) {
                return log.name() == line.name && log.id() == line.id;
            }))
            cosigned.signatures.push_back(line);
    const auto time = std::chrono::floor<seconds>(wall_.now()).time_since_epoch().count();
    cosigned.signatures.push_back(
        key_.sign(note.text, static_cast<std::uint64_t>(std::max<std::int64_t>(time, 0))));
    if (auto done = state_.store(checkpoint, cosigned); !done) return done.error();
    return cosigned;
}

/// The log had signed it, or this witness: nobody is accused by a memory that was damaged. (Either may have
/// another key since.)
bool Cosigner::is_kept(const Seen& last) const {
    return tlog::check(last.note, key_.verifier()).outcome == tlog::Checked::Outcome::good ||
           judge(last.checkpoint, last.note);
}

Error Cosigner::contradiction(const Seen& last, const Seen& now, const std::string& why) const {
    std::string kept;
    for (const Seen* one : {&last, &now}) {
        const auto file = state_.keep_evidence(one->checkpoint, one->note);
        kept += (kept.empty() ? "" : " and ") + (file ? *file : file.error().text);
    }
    return Error::no(now.checkpoint.origin + ": " + why + ": this witness has cosigned " +
                     shown(last.checkpoint.head) + ", and now the log shows " + shown(now.checkpoint.head) +
                     "; both checkpoints are kept: " + kept);
}

Answer Cosigner::add_checkpoint(std::string_view body) {
    const auto request = tlog::AddCheckpoint::parse(body);
    if (!request) return text(400, request.error().text);
    const auto checkpoint = tlog::Checkpoint::parse(request->checkpoint.text);
    if (!checkpoint) return text(400, checkpoint.error().text);
    if (const auto judged = judge(*checkpoint, request->checkpoint); !judged)
        return text(judged.error().kind == Error::Kind::usage ? 404 : 403, judged.error().text);
    if (request->old_size > checkpoint->head.size)
        return text(400, "the old size is above that of the checkpoint");

    std::optional<Answer> refused;
    bool accuses = false;  // something that an operator should hear of
    const auto cosigned =
        cosign(*checkpoint, request->checkpoint, [&](const std::optional<Seen>& last) -> Done {
            const tlog::TreeHead before = head_of(last);
            const auto refuse = [&refused](Answer answer, Error error) -> Done {
                refused = std::move(answer);
                return error;
            };
            if (request->old_size != before.size)
                return refuse(conflict(before.size),
                              Error::no("another old size: " + std::to_string(before.size)));
            if (before.size == checkpoint->head.size && before.root != checkpoint->head.root) {
                // Two roots for one size, each signed by the log: nothing else is needed to convict it.
                accuses = true;
                Error error =
                    last ? contradiction(*last, {*checkpoint, request->checkpoint}, "HISTORY REWRITTEN")
                         : Error::no("an empty tree with a root that isn't its");
                return refuse(conflict(before.size), std::move(error));
            }
            // Whoever can reach this witness can send a proof that doesn't verify: it convicts nobody.
            if (!tlog::verify_consistency(before, checkpoint->head, request->proof)) {
                accuses = true;
                return refuse(text(422, "the consistency proof doesn't verify"),
                              Error::no(checkpoint->origin + ": no proof that the checkpoint over " +
                                        shown(checkpoint->head) + " goes on from " + shown(before)));
            }
            return {};
        });
    if (refused) {
        if (accuses) spdlog::error("witness refuses: {}", cosigned.error().text);
        return *refused;
    }
    if (!cosigned) {
        spdlog::error("witness: {}", cosigned.error().text);
        return text(500, "not possible at the moment; try again");
    }
    spdlog::info("witness cosigned log=\"{}\" size={}", checkpoint->origin, checkpoint->head.size);
    return {200, "text/plain; charset=utf-8", tlog::write_signature_lines({cosigned->signatures.back()})};
}

}  // namespace kokuin::audit::witness
