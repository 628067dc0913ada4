// A ceremony held for a test, with everything that real ones only see for a moment.
#pragma once

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

#include "hsm/custody/activation.h"
#include "hsm/custody/ceremony.h"
#include "tests/support/must.h"

namespace kokuin::hsm::custody {

using testing::must;

inline Secret secret(std::string_view text) {
    return Secret(as_view(text));
}

/// A ceremony and its custodians' files. Passphrases: "passphrase of NAME".
struct Held {
    Ceremony ceremony;
    std::vector<ShareFile> files;

    explicit Held(unsigned threshold = 2, const std::vector<std::string>& names = {"a", "b", "c"},
                  const std::string& token = "token")
        : ceremony(hold({token, threshold, names})) {
        for (std::size_t i = 0; i < names.size(); ++i)
            files.push_back(make_share_file(ceremony.roster, names[i], ceremony.seeds[i].view(),
                                            passphrase(names[i]).view(), ceremony.shares[i]));
    }
    static Secret passphrase(const std::string& name) { return secret("passphrase of " + name); }
    /// As open_share_file() would, without what a passphrase costs.
    [[nodiscard]] OpenShare open(std::size_t i) const {
        const auto& share = ceremony.shares[i];
        return {files[i],
                Secret(ceremony.seeds[i].view()),
                {Secret(share.pin.view()), Secret(share.officer.view())}};
    }
    [[nodiscard]] std::string pin() const { return as_text(ceremony.pin.view()); }
};

/// One for all tests that only look.
inline const Held& usual() {
    static const Held held;
    return held;
}

/// A server's side with what it did. Not copyable: the activation's parts name it.
struct Server {
    std::vector<std::string> opened;  ///< PINs it was opened with
    int closed = 0;
    Done opens;    ///< what opening says
    Done records;  ///< what the archive says
    std::vector<std::pair<store::Event, std::vector<store::Blob>>> events;
    Activation activation;

    explicit Server(const Roster& roster, const std::string& settings = std::string(64, 'a'))
        : activation(roster, {"tsad", settings,
                              [this](const Secret& pin) {
                                  opened.push_back(as_text(pin.view()));
                                  return opens;
                              },
                              [this] { ++closed; },
                              [this](const store::Event& event, const std::vector<store::Blob>& blobs) {
                                  if (records) events.emplace_back(event, blobs);
                                  return records;
                              }}) {}
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    Result<Activation::State> give(const OpenShare& share) {
        const auto given = answer(activation.challenge(), share);
        if (!given) return given.error();
        return activation.give(*given, "operator");
    }
    [[nodiscard]] std::vector<std::string> kinds() const {
        std::vector<std::string> all;
        for (const auto& [event, blobs] : events) all.push_back(event.kind);
        return all;
    }
};

}  // namespace kokuin::hsm::custody
