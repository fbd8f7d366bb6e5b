"""Makes a LabelLab database: the same rows for MySQL, for Postgres and as phpMyAdmin's CSV, and what Huddle must make of them.

The tables are those of LabelLab's models and of its migration f5462c8a9bc2, as SQLAlchemy creates them; the rows are made
up, and the same for the same seed. What Huddle must make of them is worked out here on its own, from the rows.

usage: labellab_database.py DIRECTORY [--messages N] [--seed N] [--whole-seconds]

Writes mysql.sql, postgres.sql, csv/*.csv and expected.json into DIRECTORY. MySQL's DATETIME, which SQLAlchemy makes of
LabelLab's columns, holds whole seconds; without --whole-seconds the script for MySQL says DATETIME(6).
"""

import argparse
import datetime
import json
import pathlib
import random
import re

ROLES = ["labels", "images", "image labelling", "models"]
BODY_MAX = 200
NAME_MAX = 80

# (column, type, NULL allowed, foreign key); the key is always "id".
TABLES = {
    "user": [
        ("id", "INTEGER", False, None),
        ("name", "VARCHAR(80)", False, None),
        ("username", "VARCHAR(80)", False, None),
        ("password", "VARCHAR(128)", True, None),
        ("email", "VARCHAR(100)", False, None),
        ("date", "DATETIME", True, None),
        ("thumbnail", "VARCHAR(1500)", True, None),
    ],
    "project": [
        ("id", "INTEGER", False, None),
        ("project_name", "VARCHAR(80)", False, None),
        ("project_description", "VARCHAR(128)", True, None),
        ("admin_id", "INTEGER", False, "user"),
    ],
    "team": [
        ("id", "INTEGER", False, None),
        ("team_name", "VARCHAR(80)", False, None),
        ("role", "VARCHAR(128)", True, None),
        ("project_id", "INTEGER", False, "project"),
    ],
    "projectmember": [
        ("id", "INTEGER", False, None),
        ("user_id", "INTEGER", False, "user"),
        ("team_id", "INTEGER", False, "team"),
    ],
    "message": [
        ("id", "INTEGER", False, None),
        ("body", "VARCHAR(200)", False, None),
        ("team_id", "INTEGER", False, None),
        ("user_id", "INTEGER", False, None),
        ("username", "VARCHAR(20)", False, None),
        ("entity_type", "VARCHAR(10)", True, None),
        ("entity_id", "INTEGER", True, None),
        ("timestamp", "DATETIME", False, None),
    ],
}
UNIQUE = {"user": ["email", "username"]}

USERNAMES = ["zoë", "李小龙", "Ærøskøbing 🐙", 'the "boss"', "back\\slash", "semi;colon, comma", "tab\tbed", "over\u202eride",
             "O'Brien", "NULL", "\\N", "1e5", "é" * NAME_MAX, "\u200f\u202e"]
TEAM_NAMES = ["Étiquettes — α", "line\nbreak", "画像", "\u2066\u2069"]

# What tends to break exports and imports.
BODIES = [
    "NULL", "\\N", "\\", "ends in a backslash \\", "C:\\new\\table\\0", "\\\\server\\share", '"', '""', 'say "hi"', '"quoted"',
    'a\\"b', "'; DROP TABLE message; --", "comma, semicolon; tab\tend", "two\nlines", "three\r\nshort\rlines", "\n", " ",
    "trailing space ", "0", "-1", "1,2,3", "\ufeffmark", "<strong><i>@zoë</i></strong> look", "<script>alert(1)</script>",
    "&amp;&lt;", "🐙" * BODY_MAX, "e\u0301\u0302 combining", "\u202eright to left", "עברית والعربية", "日本語のメッセージ", "\u0001\u001a\u007f",
    "x" * BODY_MAX, "%s {} $1 ?", "id,body,team_id", "\\.", "\\n is not a line break",
]
WORDS = "the label of that image is wrong could you look at it again please thanks größer 素晴らしい naïve".split()


def make_rows(random, count, whole_seconds):
    """The rows of each table, as tuples in the order of its columns."""
    start = datetime.datetime(2020, 8, 6, 19, 4, 37)
    users = []
    for id in range(1, 61):
        username = USERNAMES[id - 1] if id <= len(USERNAMES) else f"user-{id}"
        date = None if id % 9 == 0 else start + datetime.timedelta(hours=id)
        thumbnail = None if id % 4 == 0 else "https://example.com/elliot.jpg"
        users.append((id, f"Name {id}", username, "$2b$10$hash", f"u{id}@example.com", date, thumbnail))
    projects, teams, members = [], [], []
    for id in range(1, 9):
        owner = random.randint(1, 60)
        projects.append((id, f"project {id}", None if id == 3 else "Image labelling", owner))
        teams.append((len(teams) + 1, "admin", "admin", id))
        members.append((owner, len(teams)))
        members.extend((user, len(teams)) for user in random.sample(range(1, 61), random.randint(0, 3)))
        for _ in range(random.randint(1, 4)):
            number = len(teams) + 1
            name = TEAM_NAMES[number % 7] if number % 7 < len(TEAM_NAMES) else f"team {number}"
            teams.append((number, name, None if number == 6 else random.choice(ROLES), id))
            members.extend((user, number) for user in random.sample(range(1, 61), random.randint(1, 20)))
    # The last team has been left by all, and some members are there twice.
    members = [member for member in members if member[1] != len(teams)]
    members += random.sample(members, 5)
    members = [(id, *member) for id, member in enumerate(members, 1)]

    messages, id, time = [], 0, start
    for number in range(count):
        # Some have been deleted.
        id += random.choice([1] * 9 + [2, 40])
        time += datetime.timedelta(microseconds=random.randint(-2_000_000, 60_000_000))
        stamp = time.replace(microsecond=0) if whole_seconds else time.replace(microsecond=random.choice(
            [0, 1, 999, 1000, 999_999, time.microsecond]))
        team = random.choice(teams)[0]
        user = random.randint(1, 60)
        body = random.choice(BODIES) if random.random() < 0.3 else " ".join(random.choices(WORDS, k=random.randint(1, 20)))
        entity = random.choice([(None, None)] * 6 + [("", None), ("issue", random.randint(1, 99)),
                                ("log", random.randint(1, 99)), ("an issue", 7), ("größe", 8), ("issue", None), ("", 5), (None, 6)])
        if number % 997 == 5:
            body = ""
        elif number % 1009 == 6:
            team = 9_999
        elif number % 1511 == 7:
            user = 0
        username = users[user - 1][2][:20] if user else "gone"
        messages.append((id, body[:BODY_MAX], team, user, username, *entity, stamp))
    return {"user": users, "project": projects, "team": teams, "projectmember": members, "message": messages}


def expected(rows):
    """What Huddle must make of the rows."""
    usernames = {row[0]: row[2] for row in rows["user"]}
    project_owner = {row[0]: row[3] for row in rows["project"]}
    admin_teams = {row[0]: row[3] for row in rows["team"] if row[2] == "admin"}
    project_admins = {(admin_teams[team], user) for _, user, team in rows["projectmember"] if team in admin_teams}
    left_out = {"body_empty": [], "message_team": [], "message_sender": [], "member_repeated": []}
    entities, foreign, seen, teams = {}, [], set(), {}
    for id, name, _, project in rows["team"]:
        owner = project_owner[project]
        teams[id] = {"id": id, "name": cleaned(name, id), "owner": owner, "messages": [], "members": {}, "project": project}
    for id, user, team in rows["projectmember"]:
        if (user, team) in seen:
            left_out["member_repeated"].append(id)
        seen.add((user, team))
    for team in teams.values():
        users = {user for user, number in seen if number == team["id"]} | {team["owner"]}
        for user in sorted(users):
            admin = "admin" if (team["project"], user) in project_admins else "member"
            role = "owner" if user == team["owner"] else admin
            team["members"][user] = [role, cleaned(usernames[user], user)]
    for id, body, team, user, _, entity_type, entity_id, stamp in rows["message"]:
        if team not in teams:
            left_out["message_team"].append(id)
        elif user < 1:
            left_out["message_sender"].append(id)
        elif not body:
            left_out["body_empty"].append(id)
        else:
            teams[team]["messages"].append([id, user, millis(stamp), body])
            if entity_type and entity_id is not None:
                if re.fullmatch("[A-Za-z0-9_-]{1,64}", entity_type):
                    entities[id] = [entity_type, str(entity_id)]
                else:
                    foreign.append(id)
    return {
        "teams": list(teams.values()),
        "left_out": left_out,
        "entities": entities,
        "foreign_entities": foreign,
        "owners_added": [id for id, team in teams.items() if (team["owner"], id) not in seen],
        "highest": max(row[0] for row in rows["message"]),
        "made": max(millis(row[-1]) for row in rows["message"]),
    }


def cleaned(name, id):
    turning = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    kept = "".join(c for c in name if ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0 and ord(c) not in turning)
    return kept or str(id)


def millis(stamp):
    return (stamp - datetime.datetime(1970, 1, 1)) // datetime.timedelta(milliseconds=1)


def sql(dialect, rows, whole_seconds):
    """A script that makes and fills the tables."""
    mysql = dialect == "mysql"
    quote = "`" if mysql else '"'
    datetime_type = ("DATETIME" if whole_seconds else "DATETIME(6)") if mysql else "TIMESTAMP WITHOUT TIME ZONE"

    def column(name, type, nullable):
        if name == "id":
            type = "INTEGER NOT NULL AUTO_INCREMENT" if mysql else "SERIAL NOT NULL"
            return f"{quote}id{quote} {type}"
        type = datetime_type if type == "DATETIME" else type
        return f"{quote}{name}{quote} {type}{'' if nullable else ' NOT NULL'}"

    def literal(value):
        if value is None:
            return "NULL"
        if isinstance(value, int):
            return str(value)
        text = str(value).replace("'", "''")
        return f"'{text.replace(chr(92), chr(92) * 2)}'" if mysql else f"'{text}'"

    lines = ["SET NAMES utf8mb4;" if mysql else "SET standard_conforming_strings = on;"]
    for table, columns in TABLES.items():
        parts = [column(name, type, nullable) for name, type, nullable, _ in columns]
        parts.append("PRIMARY KEY (id)")
        parts += [f"UNIQUE ({name})" for name in UNIQUE.get(table, [])]
        parts += [
            f"FOREIGN KEY({name}) REFERENCES {quote}{other}{quote} (id) ON DELETE CASCADE ON UPDATE CASCADE"
            for name, _, _, other in columns if other
        ]
        lines.append(f"CREATE TABLE {quote}{table}{quote} ({', '.join(parts)});")
        names = ", ".join(f"{quote}{name}{quote}" for name, *_ in columns)
        for at in range(0, len(rows[table]), 500):
            values = ",\n".join(f"({', '.join(map(literal, row))})" for row in rows[table][at:at + 500])
            lines.append(f"INSERT INTO {quote}{table}{quote} ({names}) VALUES\n{values};")
    return "\n".join(lines) + "\n"


def csv(table, rows):
    """As phpMyAdmin exports: everything but numbers quoted, quotes doubled, NULL as a bare word."""

    def field(value):
        if value is None:
            return "NULL"
        return str(value) if isinstance(value, int) else '"' + str(value).replace('"', '""') + '"'

    header = ",".join(f'"{name}"' for name, *_ in TABLES[table])
    return "\n".join([header, *(",".join(map(field, row)) for row in rows)]) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whole-seconds", action="store_true")
    options = parser.parse_args()
    rows = make_rows(random.Random(options.seed), options.messages, options.whole_seconds)
    directory = options.directory
    (directory / "csv").mkdir(parents=True, exist_ok=True)

    def write(name, text):
        (directory / name).write_text(text, encoding="utf-8", newline="")

    for dialect in ("mysql", "postgres"):
        write(f"{dialect}.sql", sql(dialect, rows, options.whole_seconds))
    for table in TABLES:
        write(f"csv/{table}.csv", csv(table, rows[table]))
    write("expected.json", json.dumps(expected(rows)))


main()
