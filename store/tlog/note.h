// Signed notes (C2SP signed-note), tree heads as notes (C2SP tlog-checkpoint), and the keys that sign them.
// Pure; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "store/tlog/merkle.h"

namespace kokuin::tlog {

/// A key that signs notes, by its public half. Which algorithm is part of its identity: a verifier that knows
/// "NAME+ID+…" takes nothing else from it.
class VerifierKey {
  public:
    enum class Type : std::uint8_t {
        ed25519 = 1,      ///< signed-note: Ed25519 (RFC 8032) over the text; logs
        cosignature = 4,  ///< tlog-cosignature: Ed25519 over a time and the text; witnesses
    };
    /// `key`: 32 octets. Error (usage) if the name is empty, longer than 255 octets, or has a space, a plus
    /// or anything but printable ASCII.
    static Result<VerifierKey> make(std::string_view name, Type type, View key);
    /// "NAME+ID+KEY", as signed-note's verifier keys are written. Error (usage).
    static Result<VerifierKey> parse(std::string_view text);

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] Type type() const { return type_; }
    [[nodiscard]] const std::array<std::uint8_t, 32>& key() const { return key_; }
    /// First four octets of SHA-256(name, newline, type, key).
    [[nodiscard]] const std::array<std::uint8_t, 4>& id() const { return id_; }
    [[nodiscard]] std::string text() const;
    bool operator==(const VerifierKey&) const = default;

  private:
    VerifierKey() = default;
    std::string name_;
    Type type_ = Type::ed25519;
    std::array<std::uint8_t, 32> key_{};
    std::array<std::uint8_t, 4> id_{};
};

/// One signature line.
struct NoteSignature {
    std::string name;
    std::array<std::uint8_t, 4> id{};
    Bytes signature;
    bool operator==(const NoteSignature&) const = default;
};

/// A text and who signed it.
struct Note {
    std::string text;  ///< ends with a newline
    std::vector<NoteSignature> signatures;

    /// Error (usage): no note; at most 64 KiB, 64 signatures. What parses is exactly what text() writes
    /// again.
    static Result<Note> parse(std::string_view note);
    [[nodiscard]] std::string write() const;
};

/// What an Ed25519 key of this type signs under a note's text. `time`: seconds since 1970, for cosignatures
/// only.
std::string signed_text(VerifierKey::Type type, const std::string& text, std::uint64_t time = 0);
/// The line of a signature by `key`; `time` goes into a cosignature.
NoteSignature signature_line(const VerifierKey& key, View signature, std::uint64_t time = 0);

/// Whether `key` has signed the note.
struct Checked {
    enum class Outcome {
        absent,  ///< no signature by this key
        wrong,   ///< one, or more, that don't verify: the note is to be refused
        good,
    };
    Outcome outcome = Outcome::absent;
    std::uint64_t time = 0;  ///< of a good cosignature: when, seconds since 1970, as the witness says
};
Checked check(const Note& note, const VerifierKey& key);

/// A tree head in a note's text. Extension lines are kept out of what we write, and passed over in what we
/// read.
struct Checkpoint {
    std::string origin;  ///< names the log
    TreeHead head;
    bool operator==(const Checkpoint&) const = default;

    [[nodiscard]] std::string text() const;
    /// Error (usage): no checkpoint. Sizes up to 2^63 - 1.
    static Result<Checkpoint> parse(std::string_view text);
};

}  // namespace kokuin::tlog
