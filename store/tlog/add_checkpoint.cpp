#include "store/tlog/add_checkpoint.h"

#include <algorithm>
#include <charconv>

namespace kokuin::tlog {
namespace {

constexpr std::size_t most_hashes = 63;
constexpr std::string_view old_word = "old ";

Error no_request(const std::string& why) {
    return Error::usage("no add-checkpoint request (c2sp.org/tlog-witness): " + why);
}

/// Decimal without leading zeros, below 2^63.
std::optional<std::uint64_t> read_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || std::to_string(value) != text || value >> 63U != 0) return std::nullopt;
    return value;
}

}  // namespace

Result<AddCheckpoint> AddCheckpoint::parse(std::string_view body) {
    AddCheckpoint parsed;
    for (bool first = true;; first = false) {
        const auto end = body.find('\n');
        if (end == std::string_view::npos) return no_request("it ends before its checkpoint");
        const std::string_view line = body.substr(0, end);
        body.remove_prefix(end + 1);
        if (first) {
            const auto size = line.starts_with(old_word) ? read_number(line.substr(old_word.size()))
                                                         : std::optional<std::uint64_t>();
            if (!size) return no_request("its first line isn't \"old SIZE\"");
            parsed.old_size = *size;
            continue;
        }
        if (line.empty()) break;
        const auto octets = from_base64(line);
        Hash hash{};
        if (!octets || octets->size() != hash.size())
            return no_request("a line of its proof is no hash in base64");
        if (parsed.proof.size() == most_hashes) return no_request("more than 63 hashes");
        std::copy(octets->begin(), octets->end(), hash.begin());
        parsed.proof.push_back(hash);
    }
    auto note = Note::parse(body);
    if (!note) return std::move(note).error();
    parsed.checkpoint = std::move(*note);
    return parsed;
}

std::string AddCheckpoint::write() const {
    std::string body = std::string(old_word) + std::to_string(old_size) + "\n";
    for (const Hash& hash : proof) body += to_base64(hash) + "\n";
    return body + "\n" + checkpoint.write();
}

std::optional<std::uint64_t> parse_size(std::string_view body) {
    if (!body.ends_with('\n')) return std::nullopt;
    return read_number(body.substr(0, body.size() - 1));
}

Result<std::vector<NoteSignature>> parse_signature_lines(std::string_view lines) {
    // The same lines as under any note.
    auto note = Note::parse("lines\n\n" + std::string(lines));
    if (!note) return std::move(note).error();
    // An empty line would have cut off what is before it.
    if (note->text != "lines\n") return no_request("an empty line among its signatures");
    return std::move(note->signatures);
}

std::string write_signature_lines(const std::vector<NoteSignature>& lines) {
    const std::string text = "lines\n";
    return Note{text, lines}.write().substr(text.size() + 1);
}

}  // namespace kokuin::tlog
