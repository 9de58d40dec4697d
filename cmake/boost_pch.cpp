// SPDX-License-Identifier: Apache-2.0
// The precompiled header needs a target, and that a source.
