#include "audit/witness/key.h"

#include <botan/base64.h>
#include <botan/ed25519.h>
#include <botan/pubkey.h>
#include <botan/system_rng.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/descriptor.h"

namespace kokuin::audit::witness {
namespace {

constexpr std::string_view mark = "PRIVATE+KEY+";
constexpr std::size_t seed_size = 32;
constexpr std::uint8_t type_octet = static_cast<std::uint8_t>(tlog::VerifierKey::Type::cosignature);

using Octets = Botan::secure_vector<std::uint8_t>;  // wiped when it goes

Botan::Ed25519_PrivateKey private_key(View seed) {
    return Botan::Ed25519_PrivateKey(Octets(seed.begin(), seed.end()));
}

Result<tlog::VerifierKey> verifier_of(View seed, std::string_view name) {
    return tlog::VerifierKey::make(name, tlog::VerifierKey::Type::cosignature,
                                   private_key(seed).get_public_key());
}

/// Never over a file that is there.
Done write_new(const std::string& path, View content) {
    const auto trouble = [&path](const char* doing) {
        auto error = Error::environment(path + ": can't " + doing + ": " + std::strerror(errno));
        ::unlink(path.c_str());  // ours, and not whole
        return error;
    };
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file && errno == EEXIST)
        return Error::usage(path + ": there is a file already; nothing was changed: choose another name");
    if (!file) return Error::environment(path + ": can't be made: " + std::strerror(errno));
    for (View rest = content; !rest.empty();) {
        const ssize_t put = ::write(file.get(), rest.data(), rest.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return trouble("write it");
        rest = rest.subspan(static_cast<std::size_t>(put));
    }
    if (::fsync(file.get()) != 0) return trouble("make it durable");
    auto folder = std::filesystem::path(path).parent_path();
    if (folder.empty()) folder = ".";
    const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || ::fsync(directory.get()) != 0) return trouble("make it durable");
    return {};
}

}  // namespace

Result<Key> Key::create(const std::string& path, const std::string& name) {
    Octets typed(1 + seed_size);
    typed[0] = type_octet;
    Botan::system_rng().randomize(typed.data() + 1, seed_size);
    Secret seed(View(typed.data() + 1, seed_size));
    auto verifier = verifier_of(seed.view(), name);
    if (!verifier) return verifier.error();

    const std::string front = std::string(mark) + name + "+" + to_hex(verifier->id()) + "+";
    Octets line(front.begin(), front.end());
    std::size_t consumed = 0;
    Octets base64(Botan::base64_encode_max_output(typed.size()));
    const std::size_t size = Botan::base64_encode(reinterpret_cast<char*>(base64.data()), typed.data(),
                                                  typed.size(), consumed, true);
    line.insert(line.end(), base64.begin(), base64.begin() + static_cast<std::ptrdiff_t>(size));
    line.push_back('\n');
    if (auto done = write_new(path, View(line.data(), line.size())); !done) return done.error();
    return Key(std::move(seed), std::move(*verifier));
}

Result<Key> Key::load(const std::string& path) {
    const auto content = read_secret_file(path);
    if (!content) return content.error();
    const Error wrong =
        Error::usage(path + ": no witness key; make one with: tsaudit witness init --key FILE --name NAME");
    const std::string_view text(reinterpret_cast<const char*>(content->view().data()),
                                content->view().size());
    if (!text.starts_with(mark)) return wrong;
    // A name has no plus; the base64 may.
    const auto name_end = text.find('+', mark.size());
    const auto id_end = name_end == std::string_view::npos ? name_end : text.find('+', name_end + 1);
    if (id_end == std::string_view::npos) return wrong;
    const std::string_view base64 = text.substr(id_end + 1);
    Octets typed;
    try {
        typed = Botan::base64_decode(base64.data(), base64.size(), false);
    } catch (const std::exception&) {
        return wrong;
    }
    if (typed.size() != 1 + seed_size || typed[0] != type_octet) return wrong;
    Secret seed(View(typed.data() + 1, seed_size));
    auto verifier = verifier_of(seed.view(), text.substr(mark.size(), name_end - mark.size()));
    if (!verifier) return wrong;
    if (to_hex(verifier->id()) != text.substr(name_end + 1, id_end - name_end - 1)) return wrong;
    return Key(std::move(seed), std::move(*verifier));
}

tlog::NoteSignature Key::sign(const std::string& text, std::uint64_t time) const {
    const auto key = private_key(seed_.view());
    Botan::PK_Signer signer(key, Botan::system_rng(), "Pure");
    const std::string message = tlog::signed_text(verifier_.type(), text, time);
    const auto signature = signer.sign_message(reinterpret_cast<const std::uint8_t*>(message.data()),
                                               message.size(), Botan::system_rng());
    return tlog::signature_line(verifier_, signature, time);
}

}  // namespace kokuin::audit::witness
