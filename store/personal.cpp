#include "store/personal.h"

#include <botan/mac.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/text.h"
#include "store/segment.h"

namespace kokuin::store {
namespace {

constexpr std::size_t mac_key_size = 32;

Error content_trouble(const std::string& path, const char* doing) {
    return Error::environment(path + ": can't " + doing + ": " + std::strerror(errno));
}

ContentMac content_mac(View key, View content) {
    const auto mac = Botan::MessageAuthenticationCode::create_or_throw("HMAC(SHA-256)");
    mac->set_key(key.data(), key.size());
    mac->update(content.data(), content.size());
    ContentMac out{};
    mac->final(out.data());
    return out;
}

Done make_private_folder(const std::string& dir) {
    if (::mkdir(dir.c_str(), 0700) == 0) {
        const auto parent = std::filesystem::path(dir).parent_path();
        return sync_folder(parent.empty() ? "." : parent.string());
    }
    if (errno != EEXIST) return content_trouble(dir, "make it");
    struct stat there {};
    if (::stat(dir.c_str(), &there) != 0) return content_trouble(dir, "look at it");
    if (!S_ISDIR(there.st_mode))
        return Error::usage(dir + ": is no folder; name another one in [archive] personal");
    if ((there.st_mode & 077U) != 0)
        return Error::usage(dir + ": others may look into it, and it is for personal data: chmod 700 " + dir);
    return {};
}

/// The file of a content, or one that a crash has left while it was written.
bool is_content_file(const std::string& file) {
    return is_content_id(file.substr(0, 32)) &&
           (file.size() == 32 || (file.compare(32, 5, ".new.") == 0 &&
                                  file.find_first_not_of("0123456789abcdef", 37) == std::string::npos));
}

}  // namespace

bool is_content_id(const std::string& text) {
    return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string_view name(ContentState state) {
    switch (state) {
        case ContentState::whole:
            return "whole";
        case ContentState::altered:
            return "altered";
        case ContentState::missing:
            return "missing";
        case ContentState::unreadable:
            return "unreadable";
    }
    return "unreadable";
}

Result<KeptContent> PersonalFolder::keep(View content) const {
    if (content.size() > largest_content)
        return Error::usage("larger than " + std::to_string(largest_content) + " octets; import it in parts");
    if (auto done = make_private_folder(dir_); !done) return std::move(done).error();
    KeptContent kept;
    kept.id = to_hex(random_octets(16));
    kept.size = static_cast<std::int64_t>(content.size());
    Bytes file = random_octets(mac_key_size);
    kept.hmac = content_mac(file, content);
    append(file, content);
    if (auto done = write_file(path(kept.id), file, 0600); !done) return std::move(done).error();
    return kept;
}

ContentState PersonalFolder::state(const KeptContent& content) const {
    if (!is_content_id(content.id)) return ContentState::missing;
    const auto at = path(content.id);
    struct stat there {};
    if (::stat(at.c_str(), &there) != 0)
        return errno == ENOENT ? ContentState::missing : ContentState::unreadable;
    if (there.st_size != content.size + static_cast<std::int64_t>(mac_key_size)) return ContentState::altered;
    const auto file = read_file(at, mac_key_size + largest_content);
    if (!file) return ContentState::unreadable;
    if (file->size() < mac_key_size) return ContentState::altered;
    const View octets(*file);
    return content_mac(octets.first(mac_key_size), octets.subspan(mac_key_size)) == content.hmac
               ? ContentState::whole
               : ContentState::altered;
}

Done PersonalFolder::erase(const std::string& file_name) const {
    if (!is_content_file(file_name))
        return Error::usage("\"" + one_line(file_name, 64) + "\" is no content's id: 32 digits 0-9, a-f");
    const auto at = path(file_name);
    {
        const Descriptor file(::open(at.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!file && errno == ENOENT) return {};
        struct stat there {};
        if (!file || ::fstat(file.get(), &there) != 0) return content_trouble(at, "overwrite it");
        const Bytes zeros(64U << 10U);
        for (off_t done = 0; done < there.st_size;) {
            const auto rest = static_cast<std::size_t>(there.st_size - done);
            const auto put = ::pwrite(file.get(), zeros.data(), std::min(zeros.size(), rest), done);
            if (put < 0 && errno == EINTR) continue;
            if (put <= 0) return content_trouble(at, "overwrite it");
            done += put;
        }
        if (::fsync(file.get()) != 0) return content_trouble(at, "overwrite it");
    }
    if (::unlink(at.c_str()) != 0 && errno != ENOENT) return content_trouble(at, "remove it");
    return sync_folder(dir_);
}

Result<std::vector<std::string>> PersonalFolder::files() const {
    std::vector<std::string> out;
    std::error_code failed;
    std::filesystem::directory_iterator entry(dir_, failed);
    if (failed == std::errc::no_such_file_or_directory) return out;
    for (const std::filesystem::directory_iterator end; !failed && entry != end; entry.increment(failed))
        if (auto file = entry->path().filename().string(); is_content_file(file))
            out.push_back(std::move(file));
    if (failed) return Error::environment(dir_ + ": can't read it: " + failed.message());
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace kokuin::store
