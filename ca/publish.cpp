#include "ca/publish.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json_text.h"
#include "pki/issue.h"
#include "pki/ocsp_folder.h"

namespace kokuin::ca {
namespace {

namespace fs = std::filesystem;

constexpr const char* mark = "publication.json";
constexpr const char* sums = "SHA256SUMS";

/// One of the two CAs, ready to sign.
struct Signing {
    const Issued& own;
    const CaSettings& settings;
    pki::Hash hash;
    pki::SignFunction sign;
    WallTime next_update;
};

/// A file of the publication: its path below the folder, and its octets.
using Files = std::map<std::string, Bytes>;

Bytes octets(const std::string& text) {
    return {text.begin(), text.end()};
}

Result<Bytes> crl_of(const Signing& ca, const Register& what_was, std::int64_t number, WallTime now) {
    pki::CrlPlan plan{
        ca.own.certificate.subject_der(), ca.own.certificate.spki(), now, ca.next_update, number, {}};
    for (const auto& one : what_was.issued)
        if (one.revoked && what_was.issuer_of(one).serial == ca.own.serial)
            plan.entries.push_back({one.certificate.serial(), one.revoked->at, one.revoked->reason});
    return pki::make_crl(plan, ca.hash, ca.sign);
}

/// Both responses about one certificate, each under the name for tsad and the path for plain web servers.
Done add_responses(const Signing& ca, const Issued& one, WallTime now, Files& files, Files& copies) {
    for (const auto hash : {pki::Hash::sha1, pki::Hash::sha256}) {
        pki::OcspAnswer answer;
        // By key: shorter than the name.
        answer.responder_key_hash = pki::key_hash(ca.own.certificate, pki::Hash::sha1);
        answer.produced_at = now;
        pki::SingleResponse single;
        single.id = pki::CertId::of(one.certificate, ca.own.certificate, hash);
        single.state = one.revoked ? pki::SingleResponse::State::revoked : pki::SingleResponse::State::good;
        if (one.revoked) {
            single.revoked_at = one.revoked->at;
            single.reason = one.revoked->reason;
        }
        single.this_update = now;
        single.next_update = ca.next_update;
        const auto file = pki::ocsp_file_name(single.id);
        const auto path = pki::ocsp_get_path(single.id);
        if (!file) return Error::environment("no name for the response about " + one.serial);
        answer.responses.push_back(std::move(single));
        auto response = pki::make_ocsp_response(answer, ca.hash, ca.sign);
        if (!response) return std::move(response).error();
        if (path) copies["ocsp/" + *path] = *response;
        files["ocsp/" + *file] = std::move(*response);
    }
    return {};
}

Error broken(const std::string& path, const char* what) {
    return Error::environment(path + ": " + what + ": " + std::strerror(errno));
}

Done sync_folder(const std::string& path) {
    const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return broken(path, "can't be opened");
    const bool good = ::fsync(folder) == 0;
    const auto error = broken(path, "can't be made durable");
    ::close(folder);
    return good ? Done() : Done(error);
}

/// A new folder beside the one that is to be replaced; removed with what is in it, whatever it is then.
class Beside {
  public:
    static Result<std::unique_ptr<Beside>> make(const std::string& folder) {
        auto path = folder + ".new-XXXXXX";
        if (!::mkdtemp(path.data())) return broken(path, "can't be made");
        std::unique_ptr<Beside> made(new Beside(path));
        if (::chmod(path.c_str(), 0755) != 0) return broken(path, "can't be opened for all");
        return made;
    }
    ~Beside() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    Beside(const Beside&) = delete;
    Beside& operator=(const Beside&) = delete;

    Done write(const std::string& name, View content) const {
        const auto path = path_ + "/" + name;
        std::error_code error;
        fs::create_directories(fs::path(path).parent_path(), error);
        if (error) return Error::environment(path + ": its folder can't be made: " + error.message());
        return write_file(path, content);
    }
    /// Both change places in one step; where nothing stands yet this one takes it.
    Done take_place(const std::string& folder) const {
        constexpr unsigned exchange = 2;  // RENAME_EXCHANGE
        const bool there = fs::exists(folder);
        if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, folder.c_str(), there ? exchange : 0U) != 0)
            return broken(folder, "can't be replaced");
        return sync_folder(fs::path(folder).parent_path().string());
    }

  private:
    explicit Beside(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

/// As an absolute path without a '/' at its end, so that "beside" is beside.
std::string clean(const std::string& folder) {
    auto path = fs::absolute(folder).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    return path.string();
}

Bytes in_json(const Publication& made) {
    const nlohmann::ordered_json json{
        {"kokuin", "publication"},
        {"version", 1},
        {"at", to_rfc3339(made.at, 0)},
        {"root", {{"crl_number", made.root_crl}, {"next_update", to_rfc3339(made.root_next, 0)}}},
        {"issuing", {{"crl_number", made.issuing_crl}, {"next_update", to_rfc3339(made.issuing_next, 0)}}},
        {"certificates", made.certificates},
        {"revoked", made.revoked}};
    return octets(json_text(json, 2) + "\n");
}

Done record_crl(Books& books, Profile ca, std::int64_t number, WallTime now, WallTime next, const Bytes& der,
                const Who& who) {
    store::Event event;
    event.kind = "ca.crl";
    event.subject = std::string(name(ca));
    event.text = who.why;
    event.fields["number"] = number;
    event.fields["this_update"] = to_rfc3339(now, 0);
    event.fields["next_update"] = to_rfc3339(next, 0);
    event.fields["by"] = who.by;
    event.fields["account"] = who.account;
    const store::Blob blob(der);
    event.blobs.push_back(blob.id());
    return books.record(event, {blob});
}

/// The issuing CA's signature under all that was recorded until now, and what was published.
Done record_publication(Books& books, const Signing& issuing, const std::string& folder,
                        const std::string& listed, const Who& who) {
    const auto now = books.read_again();
    if (!now) return now.error();
    const auto signature =
        issuing.sign(pki::Hash::sha256, sealed_text(books.archive_id(), now->records, now->digest));
    if (!signature) return signature.error();
    store::Event event;
    event.kind = "ca.published";
    event.text = who.why;
    event.fields["folder"] = folder;
    event.fields["records"] = now->records;
    event.fields["signature"] = *signature;
    event.fields["by"] = who.by;
    event.fields["account"] = who.account;
    const store::Blob blob(octets(listed));
    event.blobs.push_back(blob.id());
    return books.record(event, {blob});
}

}  // namespace

Done check_folder(const std::string& folder) {
    const auto path = clean(folder);
    std::error_code error;
    if (!fs::is_directory(fs::path(path).parent_path(), error))
        return Error::usage(path + ": the folder above it isn't there; make it first");
    if (!fs::exists(fs::symlink_status(path, error))) return {};
    if (fs::is_directory(fs::symlink_status(path, error)) && fs::exists(path + "/" + mark, error)) return {};
    return Error::usage(path + ": is there and isn't a publication (no " + mark +
                        " in it), so it isn't replaced; name another folder");
}

Result<Publication> publish(Books& books, hsm::Token& token, const Settings& settings,
                            const std::string& folder, const Who& who) {
    const auto& what_was = books.what_was();
    const auto* root = what_was.root();
    const auto* issuing = what_was.issuing();
    if (!root || !issuing)
        return Error::no(
            "there is nothing to publish yet; make the CAs with: tsca root init, tsca issuing init");
    const auto path = clean(folder);
    if (auto done = check_folder(path); !done) return std::move(done).error();
    const auto now = books.now();
    for (const auto* ca : {root, issuing})
        if (!ca->certificate.valid_at(now))
            return Error::no("the certificate of " + ca->certificate.subject_text() +
                             " isn't valid now, so nobody would believe what it signs");
    auto root_key = key_of(token, settings.root, root->certificate);
    if (!root_key) return std::move(root_key).error();
    auto issuing_key = key_of(token, settings.issuing, issuing->certificate);
    if (!issuing_key) return std::move(issuing_key).error();
    const Signing by_root{*root, settings.root, settings.signature, signer(token, std::move(*root_key)),
                          now + settings.root.next_update};
    const Signing by_issuing{*issuing, settings.issuing, settings.signature,
                             signer(token, std::move(*issuing_key)), now + settings.issuing.next_update};

    const auto number_after = [&](Profile ca) {
        const auto at = what_was.crl_numbers.find(ca);
        return at == what_was.crl_numbers.end() ? 1 : at->second + 1;
    };
    Publication made{now,
                     number_after(Profile::root),
                     number_after(Profile::issuing),
                     by_root.next_update,
                     by_issuing.next_update,
                     0,
                     0};
    const auto root_crl = crl_of(by_root, what_was, made.root_crl, now);
    if (!root_crl) return root_crl.error();
    const auto issuing_crl = crl_of(by_issuing, what_was, made.issuing_crl, now);
    if (!issuing_crl) return issuing_crl.error();

    Files files;
    Files copies;
    const auto root_pem = root->certificate.pem();
    const auto issuing_pem = issuing->certificate.pem();
    const auto root_list = pki::to_pem(*root_crl, "X509 CRL");
    const auto issuing_list = pki::to_pem(*issuing_crl, "X509 CRL");
    const auto der_of = [](const Issued& ca) {
        return Bytes(ca.certificate.der().begin(), ca.certificate.der().end());
    };
    files["root.pem"] = octets(root_pem);
    files["root.crt"] = der_of(*root);
    files["root.crl"] = *root_crl;
    files["root.crl.pem"] = octets(root_list);
    files["issuing.pem"] = octets(issuing_pem);
    files["issuing.crt"] = der_of(*issuing);
    files["issuing.crl"] = *issuing_crl;
    files["issuing.crl.pem"] = octets(issuing_list);
    files["chain.pem"] = octets(issuing_pem + root_pem);
    files["crl.pem"] = octets(issuing_list + root_list);
    for (const auto& one : what_was.issued) {
        if (one.profile == Profile::root) continue;
        ++made.certificates;
        made.revoked += one.revoked ? 1 : 0;
        if (auto done = add_responses(one.is_ca() ? by_root : by_issuing, one, now, files, copies); !done)
            return std::move(done).error();
    }
    files["unauthorized.der"] = pki::ocsp_refusal(pki::OcspStatus::unauthorized);
    files[mark] = in_json(made);
    std::string listed;
    for (const auto* some : {&files, &copies})
        for (const auto& [name, content] : *some)
            listed += to_hex(pki::digest(pki::Hash::sha256, content)) + "  " + name + "\n";
    files[sums] = octets(listed);

    const auto beside = Beside::make(path);
    if (!beside) return beside.error();
    for (const auto* some : {&files, &copies})
        for (const auto& [name, content] : *some)
            if (auto done = (*beside)->write(name, content); !done) return std::move(done).error();
    // Recorded before the world sees it; a number that nobody has seen then does no harm.
    if (auto done = record_crl(books, Profile::root, made.root_crl, now, made.root_next, *root_crl, who);
        !done)
        return std::move(done).error();
    if (auto done =
            record_crl(books, Profile::issuing, made.issuing_crl, now, made.issuing_next, *issuing_crl, who);
        !done)
        return std::move(done).error();
    if (auto done = record_publication(books, by_issuing, path, listed, who); !done)
        return std::move(done).error();
    if (auto done = (*beside)->take_place(path); !done) return std::move(done).error();
    return made;
}

}  // namespace kokuin::ca
