/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The four messages of WireGuard: type, three zero bytes (drivers/net/wireguard/messages.h compares all
 * four), and their lengths. Data is at least its header and tag, and need not be a multiple of 16.
 */
#ifndef WGLAN_BPF_WIREGUARD_H
#define WGLAN_BPF_WIREGUARD_H

enum wglan_message {
    WGLAN_INITIATION = 1,
    WGLAN_RESPONSE = 2,
    WGLAN_COOKIE = 3,
    WGLAN_DATA = 4,
};

#define WGLAN_INITIATION_LENGTH 148
#define WGLAN_RESPONSE_LENGTH 92
#define WGLAN_COOKIE_LENGTH 64
#define WGLAN_DATA_LENGTH_LEAST 32
/* The agent's probe (agent/probe/echo_codec.h): 40 + 28 bytes, padded to 16, and what data has besides. */
#define WGLAN_PROBE_LENGTH (80 + WGLAN_DATA_LENGTH_LEAST)

#endif
