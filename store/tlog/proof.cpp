#include "store/tlog/proof.h"

#include <algorithm>
#include <charconv>

namespace kokuin::tlog {
namespace {

constexpr std::string_view title = "c2sp.org/tlog-proof@v1\n";
constexpr std::string_view extra_word = "extra ";
constexpr std::string_view index_word = "index ";
constexpr std::size_t longest_file = 4U << 20U;

Error no_proof(const std::string& why) {
    return Error::usage("no proof (c2sp.org/tlog-proof): " + why);
}

}  // namespace

Result<Proof> Proof::parse(std::string_view file) {
    if (file.size() > longest_file) return no_proof("longer than 4 MiB");
    if (!file.starts_with(title)) return no_proof("its first line is another one");
    file.remove_prefix(title.size());
    const auto next = [&file]() -> std::string_view {
        const auto end = std::min(file.find('\n'), file.size());
        const std::string_view line = file.substr(0, end);
        file.remove_prefix(std::min(end + 1, file.size()));
        return line;
    };
    Proof proof;
    std::string_view line = next();
    if (line.starts_with(extra_word)) {
        auto extra = from_base64(line.substr(extra_word.size()));
        if (!extra) return no_proof("its second line isn't base64");
        proof.extra = std::move(*extra);
        line = next();
    }
    if (!line.starts_with(index_word)) return no_proof("its index is missing");
    line.remove_prefix(index_word.size());
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), proof.index);
    if (error != std::errc() || end != line.data() + line.size() || std::to_string(proof.index) != line)
        return no_proof("its index is no number");
    for (line = next(); !line.empty(); line = next()) {
        const auto hash = from_base64(line);
        if (!hash || hash->size() != Hash().size() || proof.hashes.size() == 64)
            return no_proof("a line that should be a hash isn't one");
        std::copy(hash->begin(), hash->end(), proof.hashes.emplace_back().begin());
    }
    auto checkpoint = Note::parse(file);
    if (!checkpoint) return no_proof(checkpoint.error().text);
    proof.checkpoint = std::move(*checkpoint);
    return proof;
}

std::string Proof::write() const {
    std::string file(title);
    if (!extra.empty()) file.append(extra_word).append(to_base64(extra)).append("\n");
    file.append(index_word).append(std::to_string(index)).append("\n");
    for (const Hash& hash : hashes) file.append(to_base64(hash)).append("\n");
    return file + "\n" + checkpoint.write();
}

}  // namespace kokuin::tlog
