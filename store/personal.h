// A folder beside the archive for what no record may hold: personal data (TSA-13). What lies here can be
// erased; the archive keeps only an HMAC whose key lies here too, and goes with it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace kokuin::store {

/// HMAC-SHA-256 (RFC 2104) of a content, under the key that stands in front of it.
using ContentMac = std::array<std::uint8_t, 32>;

/// Octets of a content, at most.
constexpr std::size_t largest_content = 4U << 20U;

/// True for 32 digits 0–9, a–f: how files are called here.
bool is_content_id(const std::string& text);

/// A content as it was put there.
struct KeptContent {
    std::string id;         ///< name of its file, random
    std::int64_t size = 0;  ///< octets, without the key
    ContentMac hmac{};
};

/// What is there of it now.
enum class ContentState {
    whole,
    altered,     ///< other octets
    missing,     ///< no file
    unreadable,  ///< a file that this user can't read
};
/// "whole", "altered", "missing", "unreadable".
std::string_view name(ContentState state);

/// The folder. A file is 32 random octets, the key, and the content after them. Nothing is kept in memory:
/// copies are the same; whoever writes from several threads lets them take turns.
class PersonalFolder {
  public:
    explicit PersonalFolder(std::string dir) : dir_(std::move(dir)) {}
    [[nodiscard]] const std::string& dir() const { return dir_; }

    /// Durable on return (file and folder are synced); the folder is made, its parent not. Modes 0700 and
    /// 0600. Error (usage): larger than largest_content, or others may look into the folder.
    Result<KeptContent> keep(View content) const;
    [[nodiscard]] ContentState state(const KeptContent& content) const;
    /// Overwrites the file with zeros, syncs, removes it, syncs the folder. Done too if there is none. What
    /// the disk keeps all the same: docs/retention.md.
    [[nodiscard]] Done erase(const std::string& file) const;
    /// Names of all files, in order: contents, and what a crash has left half written ("ID.new.…"). Others
    /// are passed over. Empty if there is no folder.
    [[nodiscard]] Result<std::vector<std::string>> files() const;

  private:
    [[nodiscard]] std::string path(const std::string& id) const { return dir_ + "/" + id; }
    std::string dir_;
};

}  // namespace kokuin::store
