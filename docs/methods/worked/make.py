"""Write the small tables of the worked checks: cities on the equator, chessboards and a ring of known truth."""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
RHO, BETA, THETA = 0.4, 1.0, 0.5
LAMBDA = 0.5


def chessboard(side: int) -> np.ndarray:
    """Row-standardised rook neighbours of a square board."""
    line = np.eye(side, k=1) + np.eye(side, k=-1)
    w = np.kron(np.eye(side), line) + np.kron(line, np.eye(side))
    return w / w.sum(axis=1, keepdims=True)


def main(folder: Path = HERE) -> None:
    line = [f"{city},{lon},0,{y}" for city, lon, y in zip("ABCDE", range(100, 105), range(1, 6), strict=True)]
    (folder / "line.csv").write_text("\n".join(["city_code,lon,lat,y", *line]) + "\n", encoding="utf-8")
    neighbours = np.eye(5, k=1, dtype=int) + np.eye(5, k=-1, dtype=int)
    rows = [",".join(map(str, row)) for row in neighbours]
    (folder / "line_w.csv").write_text("\n".join(["A,B,C,D,E", *rows]) + "\n", encoding="utf-8")

    rng = np.random.default_rng(7)
    w, years = chessboard(5), range(2011, 2019)
    codes = [f"{r}{c}" for r in range(1, 6) for c in range(1, 6)]
    x = rng.normal(size=(25, 8)).round(4)
    shocks = 0.1 * rng.normal(size=(25, 8)) + rng.normal(size=(25, 1)) + rng.normal(size=(1, 8))
    y = np.linalg.solve(np.eye(25) - RHO * w, BETA * x + THETA * (w @ x) + shocks)
    table = ["city_code,year,y,x"]
    for i, code in enumerate(codes):
        table += [f"{code},{year},{y[i, t]:.4f},{x[i, t]:.4f}" for t, year in enumerate(years)]
    (folder / "board.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    rows = [",".join(f"{value:.12g}" for value in row) for row in w]
    (folder / "board_w.csv").write_text("\n".join([",".join(codes), *rows]) + "\n", encoding="utf-8")

    rng = np.random.default_rng(5)
    ring = (np.roll(np.eye(24), 1, axis=1) + np.roll(np.eye(24), -1, axis=1)) / 2
    treated = np.zeros((24, 8))
    treated[0, 4:] = 1
    noise = 0.005 * rng.normal(size=(24, 8)) + rng.normal(size=(24, 1)) + rng.normal(size=(1, 8))
    y = np.linalg.solve(np.eye(24) - 0.6 * ring, treated + noise)
    codes = [f"{i:02d}" for i in range(24)]
    table = ["city_code,year,y,treated"]
    for i, code in enumerate(codes):
        table += [f"{code},{year},{y[i, t]:.4f},{treated[i, t]:.0f}" for t, year in enumerate(years)]
    (folder / "ring.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    rows = [",".join(f"{value:g}" for value in row) for row in ring]
    (folder / "ring_w.csv").write_text("\n".join([",".join(codes), *rows]) + "\n", encoding="utf-8")

    rng = np.random.default_rng(3)
    codes = [f"{r}{c}" for r in range(1, 6) for c in range(1, 6)]
    x = rng.normal(size=(25, 8)).round(4)
    errors = np.linalg.solve(np.eye(25) - LAMBDA * w, 0.1 * rng.normal(size=(25, 8)))
    y = 1 + BETA * x + 0.2 * rng.normal(size=(25, 1)) + errors
    table = ["city_code,year,y,x"]
    for i, code in enumerate(codes):
        table += [f"{code},{year},{y[i, t]:.4f},{x[i, t]:.4f}" for t, year in enumerate(years)]
    (folder / "board_errors.csv").write_text("\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
