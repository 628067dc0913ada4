// A CA without a token: keys of openssl sign what the plans say, and a real archive remembers it.
#pragma once

#include "ca/books.h"
#include "ca/config.h"
#include "ca/plan.h"
#include "pki/path.h"
#include "tests/pki/workshop.h"

namespace kokuin::ca {

/// A clock that stands where a test puts it.
class SetClock final : public WallClock {
  public:
    [[nodiscard]] WallTime now() const override { return at; }
    WallTime at = std::chrono::floor<seconds>(SystemWallClock().now());
};

inline Settings sample_settings() {
    const auto text = workshop::run("cat " KOKUIN_SOURCE "/conf/tsca.toml").output;
    auto settings = parse_settings(text, "/etc/kokuin/tsca.toml");
    REQUIRE(settings);
    return *settings;
}

/// A register and an archive with a root and an issuing CA. Not copyable: it owns its folder.
struct Office {
    workshop::Folder folder;
    Settings settings = sample_settings();
    SetClock clock;

    Office() {
        settings.archive = folder.at("archive");
        REQUIRE(store::Archive::create(settings.archive, clock.at));
        for (const auto* key : {"root", "issuing"}) request(key, std::string("/CN=") + key);
        take(Profile::root, "root");
        take(Profile::issuing, "issuing");
    }

    /// NAME.key and NAME.csr.
    pki::CertificationRequest request(const std::string& name, const std::string& subject,
                                      const std::string& more = "-newkey rsa:2048") const {
        folder.must("openssl req -new -nodes " + more + " -keyout " + name + ".key -out " + name +
                    ".csr -subj '" + subject + "'");
        auto read = pki::CertificationRequest::read(as_view(folder.read(name + ".csr")));
        INFO((read ? "" : read.error().text));
        REQUIRE(read);
        return *read;
    }
    [[nodiscard]] std::unique_ptr<Books> open() const {
        auto books = Books::open(settings.archive, clock);
        INFO((books ? "" : books.error().text));
        REQUIRE(books);
        return std::move(*books);
    }
    [[nodiscard]] pki::SignFunction signer(const std::string& key) const {
        return [this, key](pki::Hash hash, View message) -> Result<Bytes> {
            return folder.sign(key, hash, message);
        };
    }
    Result<Plan> plan(const Order& order) const {
        return make_plan(settings, open()->what_was(), order, View(), clock.now());
    }
    /// Signs a plan and records it, as carry_out() does with a token.
    pki::Certificate issue(const Plan& plan) const {
        const bool by_root = plan.profile == Profile::root || plan.profile == Profile::issuing;
        const auto made =
            pki::make_certificate(plan.certificate, settings.signature, signer(by_root ? "root" : "issuing"));
        REQUIRE(made);
        record(*made, plan.profile, plan.successor_of);
        return *made;
    }
    void record(const pki::Certificate& certificate, Profile profile,
                const std::string& successor_of = "") const {
        const auto books = open();
        const Issued issued{certificate,  profile,     serial_text(certificate.serial()),
                            clock.at,     "test",      "op",
                            successor_of, std::nullopt};
        auto event = issued_event(issued, "account");
        const store::Blob blob(Bytes(certificate.der().begin(), certificate.der().end()));
        event.blobs.push_back(blob.id());
        REQUIRE(books->record(event, {blob}));
    }
    void revoke(const std::string& serial, pki::Reason reason) const {
        const auto books = open();
        const auto* one = books->what_was().find(serial);
        REQUIRE(one);
        REQUIRE(books->record(revoked_event(*one, {books->now(), reason, "why", "by"}, "account"), {}));
    }

  private:
    void take(Profile profile, const std::string& key) const {
        const auto csr = pki::CertificationRequest::read(as_view(folder.read(key + ".csr")));
        REQUIRE(csr);
        Order order;
        order.profile = profile;
        const auto made = make_plan(settings, open()->what_was(), order, csr->spki(), clock.now());
        INFO((made ? "" : made.error().text));
        REQUIRE(made);
        issue(*made);
    }
};

}  // namespace kokuin::ca
