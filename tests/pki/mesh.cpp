// Certificates that name each other: as many paths as one likes, none of them signed.
#include <catch2/catch.hpp>

#include "pki/path.h"
#include "tests/support/folder.h"
#include "tests/support/run.h"

using namespace kokuin;

namespace {

void make(const std::string& folder, const std::string& name, const std::string& subject,
          const std::string& issuer) {
    const auto at = [&folder](const std::string& file) { return folder + "/" + file; };
    std::vector<std::string> command{"openssl",
                                     "req",
                                     "-new",
                                     "-newkey",
                                     "ec",
                                     "-pkeyopt",
                                     "ec_paramgen_curve:P-256",
                                     "-nodes",
                                     "-keyout",
                                     at(name + ".key"),
                                     "-subj",
                                     subject,
                                     "-addext",
                                     "basicConstraints=critical,CA:TRUE",
                                     "-x509",
                                     "-days",
                                     "30",
                                     "-out",
                                     at(name + ".pem")};
    if (!issuer.empty())
        command.insert(command.end(), {"-CA", at(issuer + ".pem"), "-CAkey", at(issuer + ".key")});
    const auto ran = testing::run(command);
    INFO(ran.output);
    REQUIRE(ran.status == 0);
}

pki::Certificate read(const std::string& folder, const std::string& name) {
    auto all = pki::load_certificates(folder + "/" + name + ".pem");
    REQUIRE(all);
    return all->front();
}

}  // namespace

TEST_CASE("certificates that name each other are no way, and no end") {
    const testing::Folder folder;
    const auto& dir = folder.path;
    make(dir, "root", "/CN=Root", "");
    make(dir, "middle", "/CN=Middle", "root");
    make(dir, "leaf", "/CN=Leaf", "middle");
    // Others with the names of the root and of a stranger, each signed by the other's name.
    make(dir, "false-root", "/CN=Middle", "");
    make(dir, "stranger", "/CN=Stranger", "false-root");
    std::vector<pki::Certificate> mesh{read(dir, "middle")};
    for (int i = 0; i < 6; ++i) {
        const auto name = "a" + std::to_string(i);
        make(dir, name, "/CN=Middle", "stranger");
        mesh.push_back(read(dir, name));
        make(dir, "b" + std::to_string(i), "/CN=Stranger", name);
        mesh.push_back(read(dir, "b" + std::to_string(i)));
    }
    const auto now = SystemWallClock().now();
    const auto leaf = read(dir, "leaf");
    const auto path = pki::validate_path(leaf, mesh, {read(dir, "root")}, now);
    REQUIRE(path);
    CHECK(path->size() == 3);
    mesh.erase(mesh.begin());
    CHECK_FALSE(pki::validate_path(leaf, mesh, {read(dir, "root")}, now));
    CHECK_FALSE(pki::validate_path(read(dir, "a0"), mesh, {read(dir, "root")}, now));
}
