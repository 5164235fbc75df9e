"""Weapons and abilities of one player: pure functions of (state, time), in microseconds and integers.

Nothing here runs by itself. Charges and the resource are kept as of their last use and computed for the
time asked (`charges_at`, `resource_at`), so how often anybody asks changes nothing; a refused call leaves the
state as it was. Times are not negative. Twin: native/reference/actions.py, equal after every step.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memset

from native.damage cimport scale_q16
from native.ruleset cimport Ruleset
from native.types cimport (
    EFFECT_SHIELD, MAX_ACTIVE_EFFECTS, REASON_COOLDOWN, REASON_FIRE_RATE, REASON_NONE, REASON_NO_AMMO,
    REASON_NO_CHARGES, REASON_NO_RESOURCE, REASON_RELOADING, REASON_UNKNOWN_ACTION, REASON_UNKNOWN_WEAPON,
    action_t, effect_t, ruleset_t, weapon_t,
)

cdef extern from *:
    """
    /* Growth by `rate` a second between two instants: a difference of whole totals, so that the parts of an
       interval add up to the whole of it. Saturating; the product has 128 bits. */
    static inline int64_t growth(int64_t rate, int64_t since_us, int64_t now_us) {
        __int128 grown = (__int128)rate * now_us / 1000000 - (__int128)rate * since_us / 1000000;
        return grown > INT64_MAX ? INT64_MAX : (int64_t)grown;
    }
    """
    int64_t growth(int64_t rate, int64_t since_us, int64_t now_us) noexcept nogil

cdef enum:
    ONE_Q16 = 65536
    INT32_MAX = 2147483647
    UINT32_MAX = 4294967295


cdef void loadout_reset(loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil:
    cdef int i
    memset(loadout, 0, sizeof(loadout_t))
    for i in range(rules.weapons):
        loadout.weapon[i].ammo = rules.weapon[i].magazine
        loadout.weapon[i].reserve = rules.weapon[i].reserve
        loadout.weapon[i].next_fire_us = now_us
    for i in range(rules.actions):
        loadout.ability[i].charges = rules.action[i].charges
    loadout.resource_milli = rules.resource_milli
    loadout.resource_us = now_us


# ---- weapons -------------------------------------------------------------------------------------

cdef uint32_t weapon_fire(loadout_t *loadout, const ruleset_t *rules, uint32_t weapon, int64_t now_us) noexcept nogil:
    cdef const weapon_t *kind
    cdef armed_t armed
    if weapon >= <uint32_t>rules.weapons:
        return REASON_UNKNOWN_WEAPON
    kind = &rules.weapon[weapon]
    armed = loadout.weapon[weapon]
    finish_reload(&armed, kind, now_us)
    if armed.reload_end_us != 0:
        return REASON_RELOADING
    if now_us + earliness(kind, rules) < armed.next_fire_us:
        return REASON_FIRE_RATE
    if kind.magazine > 0 and armed.ammo <= 0:
        return REASON_NO_AMMO
    armed.next_fire_us = later(now_us, armed.next_fire_us) + kind.fire_interval_us
    if kind.magazine > 0:
        armed.ammo -= 1
        if armed.ammo == 0 and has_rounds(&armed, kind):
            start_reload(&armed, kind, now_us)
    loadout.weapon[weapon] = armed
    loadout.in_hand = <uint8_t>weapon
    return REASON_NONE


cdef int64_t earliness(const weapon_t *kind, const ruleset_t *rules) noexcept nogil:
    """How much too early a shot may arrive: the network shifts honest ones by its jitter."""
    cdef int64_t half = kind.fire_interval_us // 2
    return rules.rewind.jitter_max_us if rules.rewind.jitter_max_us < half else half


cdef int64_t later(int64_t a, int64_t b) noexcept nogil:
    return a if a > b else b


cdef void weapon_settle(loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil:
    cdef int i
    for i in range(rules.weapons):
        finish_reload(&loadout.weapon[i], &rules.weapon[i], now_us)


cdef uint32_t weapon_reload(loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil:
    cdef armed_t *armed = &loadout.weapon[loadout.in_hand]
    cdef const weapon_t *kind = &rules.weapon[loadout.in_hand]
    if armed.reload_end_us > now_us:
        return REASON_RELOADING
    finish_reload(armed, kind, now_us)
    if armed.ammo >= kind.magazine:
        return REASON_NONE
    if not has_rounds(armed, kind):
        return REASON_NO_AMMO
    start_reload(armed, kind, now_us)
    return REASON_NONE


cdef bint has_rounds(const armed_t *armed, const weapon_t *kind) noexcept nogil:
    return kind.reserve == 0 or armed.reserve > 0


cdef void start_reload(armed_t *armed, const weapon_t *kind, int64_t now_us) noexcept nogil:
    if kind.reload_us > 0:
        armed.reload_end_us = now_us + kind.reload_us
    else:
        fill(armed, kind)


cdef void finish_reload(armed_t *armed, const weapon_t *kind, int64_t now_us) noexcept nogil:
    if armed.reload_end_us != 0 and armed.reload_end_us <= now_us:
        fill(armed, kind)


cdef void fill(armed_t *armed, const weapon_t *kind) noexcept nogil:
    cdef int32_t rounds = kind.magazine - armed.ammo
    armed.reload_end_us = 0
    if kind.reserve > 0:
        if rounds > armed.reserve:
            rounds = armed.reserve
        armed.reserve -= rounds
    armed.ammo += rounds


# ---- abilities ---------------------------------------------------------------------------------

cdef uint8_t charges_at(const loadout_t *loadout, const ruleset_t *rules, uint32_t action, int64_t now_us) noexcept nogil:
    cdef const ability_t *ability
    cdef const action_t *kind
    cdef int64_t missing, gained
    if action >= <uint32_t>rules.actions:
        return 0
    ability = &loadout.ability[action]
    kind = &rules.action[action]
    if ability.next_charge_us == 0 or now_us < ability.next_charge_us or kind.cooldown_us <= 0:
        return ability.charges
    missing = kind.charges - ability.charges
    gained = 1 + (now_us - ability.next_charge_us) // kind.cooldown_us
    return <uint8_t>(ability.charges + (gained if gained < missing else missing))


cdef int64_t resource_at(const loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil:
    cdef int64_t missing = rules.resource_milli - loadout.resource_milli
    cdef int64_t grown
    if now_us <= loadout.resource_us:
        return loadout.resource_milli
    grown = growth(rules.resource_per_s_milli, loadout.resource_us, now_us)
    return loadout.resource_milli + (grown if grown < missing else missing)


cdef uint32_t ability_use(loadout_t *loadout, const ruleset_t *rules, uint32_t action, int64_t now_us) noexcept nogil:
    cdef ability_t *ability
    cdef const action_t *kind
    cdef uint8_t charges
    cdef int64_t resource
    if action >= <uint32_t>rules.actions:
        return REASON_UNKNOWN_ACTION
    ability = &loadout.ability[action]
    kind = &rules.action[action]
    charges = charges_at(loadout, rules, action, now_us)
    if charges == 0:
        return REASON_NO_CHARGES if kind.charges > 1 else REASON_COOLDOWN
    resource = resource_at(loadout, rules, now_us)
    if resource < kind.cost_milli:
        return REASON_NO_RESOURCE
    if kind.cooldown_us > 0:
        if charges == kind.charges:
            ability.next_charge_us = now_us + kind.cooldown_us
        else:
            ability.next_charge_us += (charges - ability.charges) * kind.cooldown_us
        ability.charges = charges - 1
    loadout.resource_milli = resource - kind.cost_milli
    loadout.resource_us = later(now_us, loadout.resource_us)
    return REASON_NONE


cdef void ability_refund(loadout_t *loadout, const ruleset_t *rules, uint32_t action) noexcept nogil:
    cdef ability_t *ability
    cdef const action_t *kind
    cdef int64_t missing = rules.resource_milli - loadout.resource_milli
    if action >= <uint32_t>rules.actions:
        return
    ability = &loadout.ability[action]
    kind = &rules.action[action]
    if ability.charges < kind.charges:
        ability.charges += 1
        if ability.charges == kind.charges:
            ability.next_charge_us = 0
    loadout.resource_milli += kind.cost_milli if kind.cost_milli < missing else missing


# ---- effects -------------------------------------------------------------------------------------

cdef void effect_add(loadout_t *loadout, const effect_t *effect, uint32_t source, uint32_t action, int64_t now_us) noexcept nogil:
    cdef active_t *active
    cdef int i
    cdef bint fresh
    if effect.duration_us <= 0:
        return
    i = find_effect(loadout, effect.kind, source, action)
    fresh = i < 0 or loadout.effect[i].end_us <= now_us
    if i < 0:
        if loadout.effects == MAX_ACTIVE_EFFECTS:
            remove_effect(loadout, first_to_end(loadout))
        i = loadout.effects
        loadout.effects += 1
    active = &loadout.effect[i]
    if fresh or active.effect.period_us != effect.period_us:
        active.next_us = now_us + effect.period_us if effect.period_us > 0 else 0
    active.effect = effect[0]
    active.source = source
    active.action = action
    active.end_us = now_us + effect.duration_us
    active.left_milli = effect.amount_milli if effect.kind == EFFECT_SHIELD else 0


cdef int find_effect(const loadout_t *loadout, uint8_t kind, uint32_t source, uint32_t action) noexcept nogil:
    cdef int i
    for i in range(loadout.effects):
        if (loadout.effect[i].effect.kind == kind and loadout.effect[i].source == source
                and loadout.effect[i].action == action):
            return i
    return -1


cdef int first_to_end(const loadout_t *loadout) noexcept nogil:
    cdef int i, first = 0
    for i in range(1, loadout.effects):
        if loadout.effect[i].end_us < loadout.effect[first].end_us:
            first = i
    return first


cdef void remove_effect(loadout_t *loadout, int index) noexcept nogil:
    """Keeps the order, and leaves nothing behind: the state is hashed."""
    cdef int i
    loadout.effects -= 1
    for i in range(index, loadout.effects):
        loadout.effect[i] = loadout.effect[i + 1]
    memset(&loadout.effect[loadout.effects], 0, sizeof(active_t))


cdef void effects_expire(loadout_t *loadout, int64_t now_us) noexcept nogil:
    cdef int i = 0
    while i < loadout.effects:
        if loadout.effect[i].end_us <= now_us:
            remove_effect(loadout, i)
        else:
            i += 1


cdef uint32_t effect_periods(active_t *active, int64_t now_us) noexcept nogil:
    cdef int64_t until = now_us if now_us < active.end_us else active.end_us
    cdef int64_t count
    if active.effect.period_us <= 0 or active.next_us > until:
        return 0
    count = 1 + (until - active.next_us) // active.effect.period_us
    active.next_us += count * active.effect.period_us
    return <uint32_t>(count if count < UINT32_MAX else UINT32_MAX)


cdef int32_t effects_q16(const loadout_t *loadout, uint8_t kind, int64_t now_us) noexcept nogil:
    cdef int64_t product = ONE_Q16
    cdef int i
    for i in range(loadout.effects):
        if loadout.effect[i].effect.kind == kind and loadout.effect[i].end_us > now_us:
            product = scale_q16(product, loadout.effect[i].effect.amount_q16)
            if product > INT32_MAX:
                product = INT32_MAX
    return <int32_t>product


cdef bint effects_any(const loadout_t *loadout, uint8_t kind, int64_t now_us) noexcept nogil:
    cdef int i
    for i in range(loadout.effects):
        if loadout.effect[i].effect.kind == kind and loadout.effect[i].end_us > now_us:
            return True
    return False


cdef int64_t shield_at(const loadout_t *loadout, const ruleset_t *rules, int64_t now_us) noexcept nogil:
    cdef int64_t total = 0
    cdef int i
    for i in range(loadout.effects):
        if loadout.effect[i].end_us > now_us:
            if loadout.effect[i].left_milli >= rules.shield_max_milli - total:
                return rules.shield_max_milli
            total += loadout.effect[i].left_milli
    return total


cdef void shield_spend(loadout_t *loadout, int64_t amount_milli, int64_t now_us) noexcept nogil:
    cdef active_t *shield
    cdef int64_t taken
    while amount_milli > 0:
        shield = first_shield(loadout, now_us)
        if shield == NULL:
            return
        taken = amount_milli if amount_milli < shield.left_milli else shield.left_milli
        shield.left_milli -= taken
        amount_milli -= taken


cdef active_t *first_shield(loadout_t *loadout, int64_t now_us) noexcept nogil:
    """The running shield that ends first and has something left, or NULL."""
    cdef active_t *first = NULL
    cdef int i
    for i in range(loadout.effects):
        if loadout.effect[i].end_us > now_us and loadout.effect[i].left_milli > 0:
            if first == NULL or loadout.effect[i].end_us < first.end_us:
                first = &loadout.effect[i]
    return first


# ---- door ------------------------------------------------------------------------------------------

cdef class Loadout:
    cdef loadout_t c
    cdef Ruleset ruleset

    def __cinit__(self, Ruleset ruleset not None, int64_t now_us=0):
        self.ruleset = ruleset
        loadout_reset(&self.c, &ruleset.c, now_us)

    @property
    def weapons(self):
        return [self.c.weapon[<int>i] for i in range(self.ruleset.c.weapons)]

    @property
    def abilities(self):
        return [self.c.ability[<int>i] for i in range(self.ruleset.c.actions)]

    @property
    def effects(self):
        return [self.c.effect[<int>i] for i in range(self.c.effects)]

    @property
    def in_hand(self):
        return self.c.in_hand

    @property
    def resource_milli(self):
        return self.c.resource_milli

    @property
    def resource_us(self):
        return self.c.resource_us

    def reset(self, int64_t now_us):
        loadout_reset(&self.c, &self.ruleset.c, now_us)

    def fire(self, uint32_t weapon, int64_t now_us):
        return weapon_fire(&self.c, &self.ruleset.c, weapon, now_us)

    def settle(self, int64_t now_us):
        weapon_settle(&self.c, &self.ruleset.c, now_us)

    def reload(self, int64_t now_us):
        return weapon_reload(&self.c, &self.ruleset.c, now_us)

    def charges(self, uint32_t action, int64_t now_us):
        return charges_at(&self.c, &self.ruleset.c, action, now_us)

    def resource(self, int64_t now_us):
        return resource_at(&self.c, &self.ruleset.c, now_us)

    def use(self, uint32_t action, int64_t now_us):
        return ability_use(&self.c, &self.ruleset.c, action, now_us)

    def refund(self, uint32_t action):
        ability_refund(&self.c, &self.ruleset.c, action)

    def add_effect(self, effect, uint32_t source, uint32_t action, int64_t now_us):
        cdef effect_t added
        added.kind = effect["kind"]
        added.duration_us = effect["duration_us"]
        added.amount_milli = effect.get("amount_milli", 0)
        added.amount_q16 = effect.get("amount_q16", ONE_Q16)
        added.period_us = effect.get("period_us", 0)
        added.speed_mps = effect.get("speed_mps", 0.0)
        effect_add(&self.c, &added, source, action, now_us)

    def periods(self, int index, int64_t now_us):
        if not 0 <= index < self.c.effects:
            raise IndexError(f"effect {index} of {self.c.effects}")
        return effect_periods(&self.c.effect[index], now_us)

    def expire(self, int64_t now_us):
        effects_expire(&self.c, now_us)

    def factor(self, uint8_t kind, int64_t now_us):
        return effects_q16(&self.c, kind, now_us)

    def has(self, uint8_t kind, int64_t now_us):
        return effects_any(&self.c, kind, now_us)

    def shield(self, int64_t now_us):
        return shield_at(&self.c, &self.ruleset.c, now_us)

    def spend_shield(self, int64_t amount_milli, int64_t now_us):
        shield_spend(&self.c, amount_milli, now_us)
