-- The tables of the signups database. Applied before every load: every statement is idempotent.
create schema if not exists signups;

create table if not exists signups.users (
    user_uuid uuid primary key,
    gender text not null,
    title text not null,
    first_name text not null,
    last_name text not null,
    email text not null,
    username text not null,
    date_of_birth date not null,
    registered_at timestamptz not null,
    phone text not null,
    cell text not null,
    nationality text not null,
    street_number integer not null,
    street_name text not null,
    city text not null,
    state text not null,
    country text not null,
    postcode text not null,
    latitude numeric(9, 6) not null,
    longitude numeric(9, 6) not null,
    first_seen_at timestamptz not null,
    updated_at timestamptz not null
);

-- For the checks after each load.
create index if not exists users_updated_at on signups.users (updated_at);
create index if not exists users_email on signups.users (lower(email));

-- Invalid records, without their values.
create table if not exists signups.rejected_records (
    minute timestamptz not null,
    position integer not null,
    path text not null,
    reason text not null,
    rejected_at timestamptz not null default now(),
    primary key (minute, position)
);

-- One row per minute that was loaded: the last one is where the next load continues.
create table if not exists signups.loaded_batches (
    minute timestamptz primary key,
    received integer not null,
    inserted integer not null,
    updated integer not null,
    rejected integer not null,
    loaded_at timestamptz not null default now()
);
