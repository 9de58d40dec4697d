#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks how the sources are written.
#
#   tools/lint.sh                         format, licence headers, shell and Python scripts
#   tools/lint.sh --fix                   formats the C and C++ sources
#   tools/lint.sh --tidy [BUILD [FILE...]]  clang-tidy with that folder's compile database
#                                         (default: build/release, every source in it)
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
complain() {
    echo "lint: $*" >&2
    failed=1
}
need() {
    command -v "$1" >/dev/null || {
        echo "lint: $1 isn't installed: run tools/deps lint" >&2
        exit 1
    }
}

# Tracked and new files, without those that are deleted or ignored; a release archive has no git.
sources() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@"
    else
        find . -path ./build -prune -o -type f -name "${1#:(glob)**/}" -print
    fi | while read -r file; do [ ! -f "$file" ] || echo "$file"; done
}

c_sources() { sources '*.c' '*.h' '*.cpp'; }

check_format() {
    need clang-format-19
    local files
    mapfile -t files < <(c_sources)
    if ! clang-format-19 --dry-run --Werror --ferror-limit=1 "${files[@]}"; then
        complain "these files aren't formatted: tools/lint.sh --fix"
    fi
}

check_licences() {
    local file wanted
    while read -r file; do
        case $file in
        bpf/* | maps/*.bpf.h | maps/wglan_maps.h | maps/wglan_direct.h) wanted='(GPL-2.0-only OR BSD-2-Clause)' ;;
        *) wanted='Apache-2.0' ;;
        esac
        head -n 3 "$file" | grep -qF "SPDX-License-Identifier: $wanted" ||
            complain "$file: the licence line is missing: SPDX-License-Identifier: $wanted"
    done < <(c_sources; sources '*.py' '*.sh')
}

scripts_of() {
    local file
    while read -r file; do
        if head -n 1 "$file" | grep -q "^#!.*\b$1\b"; then echo "$file"; fi
    done < <(sources 'tools/*' 'tests/*' '.ci/*')
}

check_shell() {
    command -v shellcheck >/dev/null || {
        echo "lint: shellcheck isn't installed, shell scripts weren't checked"
        return
    }
    local files
    mapfile -t files < <(scripts_of '\(ba\)\?sh')
    [ ${#files[@]} -eq 0 ] || shellcheck -x "${files[@]}" || complain "shellcheck has something to say"
}

check_python() {
    local files
    mapfile -t files < <(sources '*.py'; scripts_of python3)
    python3 - "${files[@]}" <<'PY' || complain "Python sources don't compile"
import ast, sys
failed = False
for path in sys.argv[1:]:
    try:
        ast.parse(open(path, encoding="utf-8").read(), path)
    except SyntaxError as error:
        print(f"{path}:{error.lineno}: {error.msg}", file=sys.stderr)
        failed = True
sys.exit(failed)
PY
}

tidy() {
    need clang-tidy-19
    local build=${1:-build/release} database
    [ $# -eq 0 ] || shift
    database=$build/compile_commands.json
    [ -f "$database" ] || {
        echo "lint: $database isn't there: run tools/build first" >&2
        exit 1
    }
    # Without GCC's precompiled headers and without flags that clang doesn't know.
    local folder
    folder=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$folder'" EXIT
    python3 - "$database" "$folder" "$PWD" "$@" >"$folder/files" <<'PY'
import json, re, sys
database, folder, root, *chosen = sys.argv[1:]
entries = []
for entry in json.load(open(database)):
    name = entry["file"].removeprefix(root + "/")
    if name.startswith(("build/", "/")) or (chosen and name not in chosen):
        continue
    command = re.sub(r"-Winvalid-pch|-fpch-preprocess|-include \S*cmake_pch\.hxx", "", entry["command"])
    # The compiler's launcher (ccache) stands before it.
    command = re.sub(r"^.*?(\S*(?:g\+\+|gcc|c\+\+|cc|clang\S*)(?:-\d+)?) (?=-)", r"\1 ", command, count=1)
    entries.append({**entry, "command": command + " -Wno-unknown-warning-option -Wno-ignored-optimization-argument"})
    print(name)
json.dump(entries, open(f"{folder}/compile_commands.json", "w"))
PY
    echo "lint: clang-tidy on $(wc -l <"$folder/files") files"
    xargs -r -P "$(nproc)" -n 1 clang-tidy-19 --quiet -p "$folder" <"$folder/files" \
        2> >(grep -v ' warnings\? generated' >&2) || complain "clang-tidy has something to say"
}

case ${1:-} in
--fix)
    need clang-format-19
    c_sources | xargs -r clang-format-19 -i
    ;;
--tidy)
    shift
    tidy "$@"
    ;;
'')
    check_format
    check_licences
    check_shell
    check_python
    ;;
*)
    sed -n '3,8s/^# \{0,1\}//p' "$0"
    [ "$1" = --help ] && exit 0
    exit 2
    ;;
esac
exit "$failed"
