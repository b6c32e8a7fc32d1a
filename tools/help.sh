#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Prints the targets: the lines of GNUmakefile that start with "## ".
cd "$(dirname "$0")/.." || exit 1
echo 'usage: ./run TARGET [VAR=value ...]     (or make, when all is installed)'
echo
sed -n 's/^## \{0,1\}//p' GNUmakefile
