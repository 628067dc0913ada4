// The witness itself: believes a log's checkpoint if it goes on from the last one it has cosigned, and
// cosigns it.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/witness/key.h"
#include "audit/witness/state.h"
#include "base/result.h"
#include "base/time.h"
#include "store/tlog/note.h"

namespace kokuin::audit::witness {

/// What a request is answered.
struct Answer {
    int status = 0;
    std::string content_type;
    std::string body;
};

/// Checks and cosigns. What it has cosigned is durable before anybody is told, and two requests never use the
/// same last checkpoint: every function may be called from any thread, one works at a time. `wall` must
/// outlive it.
class Cosigner {
  public:
    /// `logs`: keys of the logs that it follows; their names are the origins. Of one log there may be
    /// several.
    Cosigner(Key key, std::vector<tlog::VerifierKey> logs, State state, const WallClock& wall)
        : key_(std::move(key)), logs_(std::move(logs)), state_(std::move(state)), wall_(wall) {}

    /// C2SP tlog-witness, POST add-checkpoint: 200 with the cosignature's line; 400 no such request, or its
    /// old size is above the checkpoint's; 403 no key of the log has signed it; 404 a log that it doesn't
    /// follow; 409 with the size that was cosigned last, if the old size isn't that, or if it is the
    /// checkpoint's size too and its root is another one; 422 the proof doesn't verify; 500 (in no
    /// specification) if its own state can't be read or written: then nothing was cosigned.
    Answer add_checkpoint(std::string_view body);

    /// Whether a checkpoint is one of a log that it follows. Error: (usage) no such log, (no) none of its
    /// keys has signed it, or one wrongly.
    [[nodiscard]] Done judge(const tlog::Checkpoint& checkpoint, const tlog::Note& note) const;
    /// Proves, its way, that a checkpoint goes on from the one before: done, or why not.
    using Prove = std::function<Done(const std::optional<Seen>& last)>;
    /// Cosigns a checkpoint that judge() has let pass, if `prove` succeeds: the note, signed by the log and
    /// by this witness, as it is stored now. The error is that of `prove`, or the state's.
    Result<tlog::Note> cosign(const tlog::Checkpoint& checkpoint, const tlog::Note& note, const Prove& prove);
    /// Error (no) that two checkpoints of one log contradict each other, for `why`: keeps both as files, and
    /// names them. To be called inside of `prove`.
    [[nodiscard]] Error contradiction(const Seen& last, const Seen& now, const std::string& why) const;

    [[nodiscard]] const Key& key() const { return key_; }

    /// Files that convict this log, from before: contradiction() has kept them.
    [[nodiscard]] std::vector<std::string> evidence(const std::string& origin) const {
        return state_.evidence(origin);
    }

  private:
    [[nodiscard]] bool is_kept(const Seen& last) const;

    const Key key_;
    const std::vector<tlog::VerifierKey> logs_;
    const State state_;
    const WallClock& wall_;
    std::mutex mutex_;
};

}  // namespace kokuin::audit::witness
