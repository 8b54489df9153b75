"""
El Niño: years as signals
=========================

Sixty-one years of sea surface temperature in the eastern Pacific, one row a year, one column a month. Two
components tell how a warm event runs: one sets in during the northern summer and lasts until December, one
is over by then.
"""

# %%
# The data come with the package statsmodels.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from statsmodels.datasets import elnino

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.plotting import ComponentsDisplay

table = elnino.load_pandas().data
years, temperatures = table["YEAR"].to_numpy(int), table.iloc[:, 1:].to_numpy()
temperatures.shape

# %%
# With 61 rows the data say little of a density: the prior "learned" is one's own choice here, for events
# that are rare and strong. The intercept is the mean year.
model = AutoencoderDecomposer(2, prior="learned", random_state=0).fit(temperatures)
model.summary()

# %%
# PCA finds the same plane, and in it the level of a year and the difference of its halves; neither is an
# event. Codes of two components take the years apart: the warming of 1982 lies in the component that lasts
# until December, and its end, in the spring of 1983, in the other; so do 1997 and 1998.
pca = PCA(2).fit(temperatures)
codes = model.transform(temperatures)
figure = plt.figure(figsize=(10, 5.4), layout="constrained")
top, bottom = figure.subfigures(2, 1)
left, right = top.subplots(1, 2, sharey=True)
months = np.arange(1, 13)
for ax, fitted, title in ((left, model, "this library"), (right, pca, "PCA")):
    ComponentsDisplay.from_estimator(
        fitted, positions=months, ax=ax, xlabel="month", ylabel="of unit norm"
    )
    ax.set(title=title, xticks=months)
ax = bottom.add_subplot()
for j, (code, color) in enumerate(zip(codes.T, ("#0072B2", "#D55E00"), strict=True)):
    ax.bar(years + 0.4 * j - 0.2, code, width=0.4, color=color, label=f"code {j}")
for year in (1972, 1982, 1983, 1987, 1997, 1998):
    ax.annotate(
        str(year), (year, codes[years == year].max() + 0.3), ha="center", fontsize="small"
    )
ax.set(xlabel="year", ylabel="code, °C", xlim=(1949, 2011), ylim=(None, 14))
ax.legend(loc="upper left", fontsize="small")
plt.show()
