/* The judged shot of native/hitreg.pyx written by hand in C: the yardstick of `scripts/bench core`.
 *
 * Same algorithm, data and arithmetic, so the answers are equal; how it is laid out is this file's own. The
 * map is a list of boxes that are asked one after the other, which for the bench's small map is at least as
 * fast as a hierarchy.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK 16

typedef struct { double x, y, z; } vec;
typedef struct { uint8_t kind, region; double turn, radius; vec a, b; } shape;
typedef struct { int count[3]; shape shapes[3][24]; double reach, centre; float ball[3][4][24]; } rig;
typedef struct {
    uint32_t ticks, slots, tick_rate, newest, rows;
    const float *x, *y, *z, *yaw;
    const uint8_t *stance, *epoch, *alive;
} ring;
typedef struct { uint32_t older, newer; double fraction; } moment;
typedef struct { int64_t time_us; uint32_t skip, padding; vec origin, direction; } ray;
typedef struct { int32_t slot; uint8_t region, shape, padding[2]; double distance; } answer;

static inline vec vec_of(double x, double y, double z) { vec v = {x, y, z}; return v; }
static inline vec sub(vec a, vec b) { return vec_of(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline vec move(vec a, vec d, double s) { return vec_of(a.x + d.x * s, a.y + d.y * s, a.z + d.z * s); }
static inline double dot(vec a, vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline vec cross(vec a, vec b) {
    return vec_of(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
static inline double clamp(double v, double low, double high) { return v < low ? low : v > high ? high : v; }
static inline vec turned(vec v, double s, double c) { return vec_of(c * v.x - s * v.y, s * v.x + c * v.y, v.z); }

static void sine_cosine(double angle, double *sine, double *cosine) {
    double quarter = angle * 0.6366197723675814;
    int64_t n = (int64_t)(quarter + (quarter >= 0 ? 0.5 : -0.5));
    double r = (angle - n * 1.5707963267341256) - n * 6.077100506506192e-11, z = r * r;
    double s = r + r * z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (
        -1.0 / 39916800 + z * (1.0 / 6227020800.0 + z * (-1.0 / 1307674368000.0)))))));
    double c = 1.0 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (
        1.0 / 479001600 + z * (-1.0 / 87178291200.0 + z * (1.0 / 20922789888000.0))))))));
    if (n & 1) { double t = s; s = c; c = t; }
    *sine = n & 2 ? -s : s;
    *cosine = (n + 1) & 2 ? -c : c;
}

/* ---- one ray, one shape ---- */

static double hit_sphere(vec o, vec d, vec centre, double radius) {
    vec to = sub(centre, o);
    if (dot(to, to) <= radius * radius) return 0.0;
    double b = dot(to, d);
    if (b < 0.0) return -1.0;
    vec across = move(to, d, -b);
    double h = radius * radius - dot(across, across);
    return h < 0.0 ? -1.0 : b - sqrt(h);
}

static double hit_capsule(vec o, vec d, const shape *s) {
    double r2 = s->radius * s->radius;
    vec axis = sub(s->b, s->a), from_a = sub(o, s->a), normal = cross(axis, d);
    double axis2 = dot(axis, axis), climb = dot(axis, d), square = dot(normal, normal);
    double passed = dot(from_a, d);
    vec across = move(from_a, d, -passed);
    double offset = dot(across, normal), h = r2 * square - offset * offset;
    int slanted = square > 1e-16 * axis2;
    if (slanted && h < 0.0) return -1.0;
    double share = axis2 > 0.0 ? clamp(dot(from_a, axis) / axis2, 0.0, 1.0) : 0.0;
    vec away = sub(o, move(s->a, axis, share));
    if (dot(away, away) <= r2) return 0.0;
    if (!slanted) return hit_sphere(o, d, climb >= 0.0 ? s->a : s->b, s->radius);
    double t = (-dot(cross(axis, across), normal) - sqrt(axis2 * h)) / square;
    double y = dot(axis, across) + t * climb;
    if (0.0 < y && y < axis2) return t >= passed ? t - passed : -1.0;
    return hit_sphere(o, d, y <= 0.0 ? s->a : s->b, s->radius);
}

static inline int slab(double o, double d, double low, double high, double *enter, double *leave) {
    if (d == 0.0) return low <= o && o <= high;
    double first = (low - o) / d, last = (high - o) / d;
    if (first > last) { double t = first; first = last; last = t; }
    if (first > *enter) *enter = first;
    if (last < *leave) *leave = last;
    return *enter <= *leave;
}

static double hit_box(vec o, vec d, const shape *s) {
    double enter = 0.0, leave = INFINITY, sine, cosine;
    o = sub(o, s->a);
    if (s->turn != 0.0) {
        sine_cosine(s->turn, &sine, &cosine);
        o = turned(o, -sine, cosine);
        d = turned(d, -sine, cosine);
    }
    return slab(o.x, d.x, -s->b.x, s->b.x, &enter, &leave) && slab(o.y, d.y, -s->b.y, s->b.y, &enter, &leave)
        && slab(o.z, d.z, -s->b.z, s->b.z, &enter, &leave) ? enter : -1.0;
}

static double hit_shape(vec o, vec d, const shape *s) {
    return s->kind == 2 ? hit_capsule(o, d, s) : s->kind == 3 ? hit_box(o, d, s)
        : hit_sphere(o, d, s->a, s->radius);
}

static void mark_near(const float (*restrict ball)[24], vec o, vec d, int *restrict near) {
    const float ox = (float)o.x, oy = (float)o.y, oz = (float)o.z;
    const float dx = (float)d.x, dy = (float)d.y, dz = (float)d.z;
    for (int i = 0; i < 24; i++) {
        float cx = ball[0][i] - ox, cy = ball[1][i] - oy, cz = ball[2][i] - oz;
        float t = cx * dx + cy * dy + cz * dz;
        t = t > 0.0f ? t : 0.0f;
        cx -= t * dx;
        cy -= t * dy;
        cz -= t * dz;
        near[i] = cx * cx + cy * cy + cz * cz <= ball[3][i] * ball[3][i];
    }
}

/* ---- one ray, everybody ---- */

static int64_t tick_time(uint32_t tick, uint32_t rate) { return (int64_t)((uint64_t)tick * 1000000 / rate); }

static moment moment_of(const ring *h, int64_t time_us) {
    moment m = {0, 0, 0.0};
    int64_t newest = h->newest, oldest = newest - h->rows + 1;
    int64_t tick = time_us < 0 ? -1 : ((time_us + 1) * h->tick_rate - 1) / 1000000;
    if (tick >= newest) tick = newest;
    else if (tick < oldest) tick = oldest;
    else {
        int64_t before = tick_time((uint32_t)tick, h->tick_rate);
        m.fraction = (double)(time_us - before) / (double)(tick_time((uint32_t)tick + 1, h->tick_rate) - before);
    }
    m.older = (uint32_t)tick & (h->ticks - 1);
    m.newer = m.fraction > 0.0 ? ((uint32_t)tick + 1) & (h->ticks - 1) : m.older;
    return m;
}

static int gather(const ring *restrict h, moment m, const rig *restrict body, const ray *restrict shot,
                  double reach, uint32_t *restrict candidate, float *restrict distance) {
    const size_t a = (size_t)m.older * h->slots, b = (size_t)m.newer * h->slots;
    const float share = (float)m.fraction, far = (float)reach;
    const float ox = (float)shot->origin.x, oy = (float)shot->origin.y;
    const float oz = (float)(shot->origin.z - body->centre);
    const float dx = (float)shot->direction.x, dy = (float)shot->direction.y, dz = (float)shot->direction.z;
    double wide = body->reach;
    wide += 1e-3 + 4e-6 * (fabs(shot->origin.x) + fabs(shot->origin.y) + fabs(shot->origin.z) + reach + wide);
    const float square = (float)(wide * wide);
    int count = 0;
    for (uint32_t block = 0; block < h->slots; block += BLOCK) {
        const float *restrict xa = h->x + a + block, *restrict xb = h->x + b + block;
        const float *restrict ya = h->y + a + block, *restrict yb = h->y + b + block;
        const float *restrict za = h->z + a + block, *restrict zb = h->z + b + block;
        const uint8_t *restrict ea = h->epoch + a + block, *restrict eb = h->epoch + b + block;
        const uint8_t *restrict la = h->alive + a + block, *restrict lb = h->alive + b + block;
        int near[BLOCK], any = 0;
        float along[BLOCK];
        for (int j = 0; j < BLOCK; j++) {
            float cx = xa[j] + (xb[j] - xa[j]) * share - ox;
            float cy = ya[j] + (yb[j] - ya[j]) * share - oy;
            float cz = za[j] + (zb[j] - za[j]) * share - oz;
            float t = cx * dx + cy * dy + cz * dz;
            along[j] = t;
            t = t > 0.0f ? t : 0.0f;
            t = t < far ? t : far;
            cx -= t * dx;
            cy -= t * dy;
            cz -= t * dz;
            near[j] = (cx * cx + cy * cy + cz * cz <= square) | ((ea[j] != eb[j]) | (la[j] != lb[j])) << 1;
            any |= near[j];
        }
        if (!any) continue;
        for (int j = 0; j < BLOCK; j++)
            if (near[j] && lb[j] && block + j != shot->skip) {
                candidate[count] = block + j;
                distance[count++] = (near[j] & 2 ? 0.0f : along[j]) - (float)wide;
            }
    }
    return count;
}

/* Where the seat is at the moment: feet, yaw, stance; 0 when it cannot be hit. Breaks: the present pose. */
static int pose_at(const ring *h, uint32_t slot, moment m, vec *feet, double *yaw, uint8_t *stance) {
    size_t a = (size_t)m.older * h->slots + slot, b = (size_t)m.newer * h->slots + slot;
    uint32_t last = h->newest & (h->ticks - 1);
    size_t now = (size_t)last * h->slots + slot;
    if (!h->alive[b] || !h->alive[now]) return 0;
    if (h->epoch[now] != h->epoch[b])
        for (uint32_t row = m.newer; row != last;) {
            row = (row + 1) & (h->ticks - 1);
            if (!h->alive[(size_t)row * h->slots + slot]) return 0;
        }
    if (!h->alive[a] || h->epoch[a] != h->epoch[b]) a = b = now;
    *feet = vec_of(h->x[a], h->y[a], h->z[a]);
    *yaw = h->yaw[a];
    *stance = h->stance[a];
    if (a != b) {
        double arc = h->yaw[b] - *yaw;
        arc = arc > M_PI ? arc - 2.0 * M_PI : arc < -M_PI ? arc + 2.0 * M_PI : arc;
        feet->x += (h->x[b] - feet->x) * m.fraction;
        feet->y += (h->y[b] - feet->y) * m.fraction;
        feet->z += (h->z[b] - feet->z) * m.fraction;
        *yaw += arc * m.fraction;
    }
    return 1;
}

static double map_stops(const vec *boxes, int count, vec o, vec d, double reach) {
    double best = reach;
    for (int i = 0; i < count; i++) {
        const vec low = boxes[2 * i], high = boxes[2 * i + 1];
        double enter = 0.0, leave = best;
        if (slab(o.x, d.x, low.x, high.x, &enter, &leave) && slab(o.y, d.y, low.y, high.y, &enter, &leave)
            && slab(o.z, d.z, low.z, high.z, &enter, &leave) && enter < best)
            best = enter;
    }
    return best;
}

void judge(const ring *h, const rig *body, const vec *boxes, int box_count, const ray *rays, int ray_count,
           double reach, uint32_t *candidate, float *distance, answer *answers) {
    for (int k = 0; k < ray_count; k++) {
        const ray *shot = &rays[k];
        const moment m = moment_of(h, shot->time_us);
        const int candidates = gather(h, m, body, shot, reach, candidate, distance);
        answer best = {-1, 0, 0, {0, 0}, reach};
        for (int i = 0; i < candidates; i++) {
            vec feet;
            double yaw, sine, cosine, nearest = -1.0;
            uint8_t stance;
            int which = 0;
            if (best.slot >= 0 && distance[i] > best.distance) continue;
            if (!pose_at(h, candidate[i], m, &feet, &yaw, &stance)) continue;
            sine_cosine(yaw, &sine, &cosine);
            vec o = turned(sub(shot->origin, feet), -sine, cosine), d = turned(shot->direction, -sine, cosine);
            double skipped = dot(vec_of(-o.x, -o.y, body->centre - o.z), d) - body->reach;
            if (skipped < 0.0) skipped = 0.0;
            o = move(o, d, skipped);
            int near[24];
            mark_near(body->ball[stance], o, d, near);
            for (int s = 0; s < body->count[stance]; s++) {
                if (!near[s]) continue;
                double t = hit_shape(o, d, &body->shapes[stance][s]);
                if (t >= 0.0 && (nearest < 0.0 || t < nearest)) { nearest = t; which = s; }
            }
            if (nearest < 0.0) continue;
            nearest += skipped;
            if (nearest <= reach && (best.slot < 0 || nearest < best.distance)) {
                best.slot = (int32_t)candidate[i];
                best.shape = (uint8_t)which;
                best.region = body->shapes[stance][which].region;
                best.distance = nearest;
            }
        }
        if (best.slot >= 0) {
            double clear = map_stops(boxes, box_count, shot->origin, shot->direction, best.distance);
            if (clear < best.distance) best = (answer){-1, 0, 0, {0, 0}, clear};
        }
        answers[k] = best;
    }
}
