// Tokens opened the way the tests need them.
#pragma once

#include <catch2/catch.hpp>

#include <memory>
#include <string>

#include "hsm/token.h"
#include "tests/support/hsm.h"
#include "tests/support/must.h"
#include "tests/support/run.h"
#include "tests/support/softhsm.h"

namespace kokuin::hsm {

inline TokenOptions options_for(const std::string& module, const std::string& token,
                                const std::string& pin = testing::Hsm::pin) {
    TokenOptions options;
    options.module_path = module;
    options.token = token;
    options.pin = Secret(as_view(pin));
    options.sessions = 4;
    options.probe_interval = milliseconds(50);
    options.retry_first = milliseconds(20);
    options.retry_most = milliseconds(200);
    return options;
}
inline TokenOptions options_for(const testing::Hsm& hsm, const std::string& token,
                                const std::string& pin = testing::Hsm::pin) {
    auto options = options_for(hsm.module_path(), token, pin);
    options.module_parameters = hsm.module_parameters();
    return options;
}

/// What tests sign when any octets will do.
inline const Bytes some_octets{1, 2, 3};

using testing::must;

/// Its first token, inside this process.
inline std::unique_ptr<Token> opened(const testing::Hsm& hsm) {
    return must(Token::open(options_for(hsm, hsm.label())));
}

/// Its module, for Tokens that share it.
inline std::shared_ptr<Module> loaded(Modules& modules, const testing::Hsm& hsm) {
    return must(modules.get(hsm.module_path(), hsm.module_parameters()));
}

}  // namespace kokuin::hsm
