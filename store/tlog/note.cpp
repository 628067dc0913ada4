#include "store/tlog/note.h"

#include <botan/ed25519.h>
#include <botan/hash.h>
#include <botan/pubkey.h>

#include <algorithm>
#include <charconv>
#include <exception>

#include "base/text.h"

namespace kokuin::tlog {
namespace {

constexpr std::size_t longest_note = 64U << 10U;
constexpr std::size_t most_signatures = 64;
constexpr std::string_view dash = "\xE2\x80\x94 ";  // U+2014 and a space

bool is_name(std::string_view name) {
    return !name.empty() && name.size() <= 255 &&
           std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != '+'; });
}

std::array<std::uint8_t, 4> id_of(std::string_view name, VerifierKey::Type type, View key) {
    const auto sha256 = Botan::HashFunction::create_or_throw("SHA-256");
    sha256->update(std::string(name) + "\n");
    sha256->update(static_cast<std::uint8_t>(type));
    sha256->update(key.data(), key.size());
    const auto hash = sha256->final();
    return {hash[0], hash[1], hash[2], hash[3]};
}

/// Decimal without leading zeros, below 2^63.
std::optional<std::uint64_t> read_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || std::to_string(value) != text ||
        value >> 63U != 0)
        return std::nullopt;
    return value;
}

/// Takes the next line, without its newline, off `rest`; nothing if none ends there.
std::optional<std::string_view> next_line(std::string_view& rest) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return line;
}

std::uint64_t big_endian(View octets) {
    std::uint64_t value = 0;
    for (const std::uint8_t octet : octets) value = value << 8U | octet;
    return value;
}

bool verifies(const VerifierKey& key, const std::string& message, View signature) {
    if (signature.size() != 64) return false;
    try {
        const Botan::Ed25519_PublicKey botan_key(key.key().data(), key.key().size());
        Botan::PK_Verifier verifier(botan_key, "Pure");
        return verifier.verify_message(reinterpret_cast<const std::uint8_t*>(message.data()), message.size(),
                                       signature.data(), signature.size());
    } catch (const std::exception&) {
        return false;  // a key that is no point of the curve
    }
}

bool is_utf8(std::string_view text) {
    std::uint32_t code = 0;
    for (View rest = as_view(text); !rest.empty();) {
        const std::size_t size = next_character(rest, code);
        if (size == 0) return false;
        rest = rest.subspan(size);
    }
    return true;
}

Error no_note(const std::string& why) {
    return Error::usage("no signed note (c2sp.org/signed-note): " + why);
}

Error no_checkpoint(const std::string& why) {
    return Error::usage("no checkpoint (c2sp.org/tlog-checkpoint): " + why);
}

}  // namespace

Result<VerifierKey> VerifierKey::make(std::string_view name, Type type, View key) {
    if (!is_name(name))
        return Error::usage("\"" + std::string(name) +
                            "\" can't name a key of a log: give printable ASCII without spaces and '+', at "
                            "most 255 octets");
    VerifierKey made;
    if (key.size() != made.key_.size()) return Error::usage("an Ed25519 key has 32 octets");
    made.name_ = name;
    made.type_ = type;
    std::copy(key.begin(), key.end(), made.key_.begin());
    made.id_ = id_of(name, type, key);
    return made;
}

Result<VerifierKey> VerifierKey::parse(std::string_view text) {
    const Error wrong =
        Error::usage("\"" + std::string(text) +
                     "\" is no key of a log or witness: give NAME+ID+KEY, as tsaudit and tsad show it");
    const auto first = text.find('+');
    const auto second = first == std::string_view::npos ? first : text.find('+', first + 1);
    if (second == std::string_view::npos) return wrong;
    const auto id = from_hex(text.substr(first + 1, second - first - 1));
    const auto octets = from_base64(text.substr(second + 1));
    if (!id || !octets || octets->size() != 33) return wrong;
    if (octets->front() != 1 && octets->front() != 4) return wrong;
    auto key = make(text.substr(0, first), static_cast<Type>(octets->front()), View(*octets).subspan(1));
    if (!key) return key;
    if (!equal(*id, key->id())) return wrong;
    return key;
}

std::string VerifierKey::text() const {
    Bytes octets{static_cast<std::uint8_t>(type_)};
    append(octets, key_);
    return name_ + "+" + to_hex(id_) + "+" + to_base64(octets);
}

Result<Note> Note::parse(std::string_view note) {
    if (note.size() > longest_note) return no_note("longer than 64 KiB");
    const auto middle = note.rfind("\n\n");
    if (middle == std::string_view::npos || middle == 0)
        return no_note("no empty line before its signatures");
    if (std::any_of(note.begin(), note.end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\n'; }))
        return no_note("control characters");
    if (!is_utf8(note)) return no_note("not UTF-8");
    Note parsed;
    parsed.text = note.substr(0, middle + 1);
    std::string_view rest = note.substr(middle + 2);
    while (!rest.empty()) {
        const auto line = next_line(rest);
        if (!line || !line->starts_with(dash)) return no_note("a signature's line isn't one");
        const auto space = line->find(' ', dash.size());
        if (space == std::string_view::npos) return no_note("a signature without a key's name");
        const auto octets = from_base64(line->substr(space + 1));
        if (!octets || octets->size() < 5) return no_note("a signature that isn't base64");
        NoteSignature signature;
        signature.name = line->substr(dash.size(), space - dash.size());
        if (signature.name.empty() || signature.name.find('+') != std::string::npos)
            return no_note("a signature without a key's name");
        std::copy(octets->begin(), octets->begin() + 4, signature.id.begin());
        signature.signature.assign(octets->begin() + 4, octets->end());
        parsed.signatures.push_back(std::move(signature));
        if (parsed.signatures.size() > most_signatures) return no_note("more than 64 signatures");
    }
    if (parsed.signatures.empty()) return no_note("no signature");
    return parsed;
}

std::string Note::write() const {
    std::string note = text + "\n";
    for (const NoteSignature& line : signatures) {
        Bytes octets(line.id.begin(), line.id.end());
        append(octets, line.signature);
        note.append(dash).append(line.name).append(" ").append(to_base64(octets)).append("\n");
    }
    return note;
}

std::string signed_text(VerifierKey::Type type, const std::string& text, std::uint64_t time) {
    if (type == VerifierKey::Type::ed25519) return text;
    return "cosignature/v1\ntime " + std::to_string(time) + "\n" + text;
}

NoteSignature signature_line(const VerifierKey& key, View signature, std::uint64_t time) {
    NoteSignature line{key.name(), key.id(), {}};
    if (key.type() == VerifierKey::Type::cosignature)
        for (int shift = 56; shift >= 0; shift -= 8)
            line.signature.push_back(static_cast<std::uint8_t>(time >> static_cast<unsigned>(shift)));
    append(line.signature, signature);
    return line;
}

Checked check(const Note& note, const VerifierKey& key) {
    Checked checked;
    for (const NoteSignature& line : note.signatures) {
        if (line.name != key.name() || line.id != key.id()) continue;
        View signature(line.signature);
        std::uint64_t time = 0;
        if (key.type() == VerifierKey::Type::cosignature) {
            if (signature.size() < 8) return {Checked::Outcome::wrong, 0};
            time = big_endian(signature.first(8));
            signature = signature.subspan(8);
        }
        if (time >> 63U != 0 || !verifies(key, signed_text(key.type(), note.text, time), signature))
            return {Checked::Outcome::wrong, 0};
        checked = {Checked::Outcome::good, std::max(checked.time, time)};
    }
    return checked;
}

std::string Checkpoint::text() const {
    return origin + "\n" + std::to_string(head.size) + "\n" + to_base64(head.root) + "\n";
}

Result<Checkpoint> Checkpoint::parse(std::string_view text) {
    Checkpoint parsed;
    const auto origin = next_line(text);
    const auto size = next_line(text);
    const auto root = next_line(text);
    if (!origin || origin->empty() || !size || !root) return no_checkpoint("fewer than three lines");
    const auto number = read_number(*size);
    if (!number) return no_checkpoint("its second line is no size");
    const auto hash = from_base64(*root);
    if (!hash || hash->size() != parsed.head.root.size()) return no_checkpoint("its third line is no hash");
    while (!text.empty()) {
        const auto line = next_line(text);
        if (!line || line->empty()) return no_checkpoint("an empty line");
    }
    parsed.origin = *origin;
    parsed.head.size = *number;
    std::copy(hash->begin(), hash->end(), parsed.head.root.begin());
    return parsed;
}

}  // namespace kokuin::tlog
